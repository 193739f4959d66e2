"""What a job has of its computer: the least of what is declared and what there is."""

import pytest

from xfworker.domain.allocation import Allocation
from xfworker.domain.job_arguments import JOB_MEMORY

_MIB = 2**20


@pytest.mark.parametrize(
    ("variables", "cores", "allocated"),
    [
        ({}, [8, 2.5], 2),
        ({"OMP_NUM_THREADS": "4,2", "SLURM_CPUS_PER_TASK": "6"}, [8], 4),
        ({"OMP_NUM_THREADS": "many", "NCPUS": "3"}, [8], 3),
        ({"NCPUS": "16"}, [8], 8),
        ({"SLURM_CPUS_PER_TASK": "3", "PBS_NUM_PPN": "2"}, [8], 3),
        ({"PBS_NUM_PPN": "2", "NCPUS": "4"}, [8], 2),
        ({"OMP_NUM_THREADS": "1"}, [8], 1),
        ({"OMP_NUM_THREADS": "0"}, [None, 0.5], 1),
        ({}, [None], 1),
    ],
)
def test_cores_are_those_that_the_most_exact_variable_says_and_no_more_than_the_system_allows(
    variables, cores, allocated
):
    assert Allocation.declared(variables, cores=cores, memory_bytes=[]).cores == allocated


@pytest.mark.parametrize(
    ("variables", "memory_bytes", "allocated"),
    [
        ({}, [None], None),
        ({}, [None, 5 * _MIB, 4 * _MIB], 4 * _MIB),
        ({"SLURM_MEM_PER_NODE": "3"}, [4 * _MIB], 3 * _MIB),
        ({"SLURM_MEM_PER_CPU": "2", "OMP_NUM_THREADS": "2"}, [5 * _MIB], 4 * _MIB),
        ({JOB_MEMORY: "7"}, [4 * _MIB], 7),
    ],
)
def test_memory_is_the_least_that_anybody_says(variables, memory_bytes, allocated):
    assert Allocation.declared(variables, cores=[2], memory_bytes=memory_bytes).memory_bytes == allocated

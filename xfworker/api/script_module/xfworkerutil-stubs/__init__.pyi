# The names of ``xfworkerutil`` and where they are defined, for type checkers and editors: only a name that is
# imported "as" itself is one of the module.
from xfworker.api.facade.arguments import XFWorkerArguments as XFWorkerArguments
from xfworker.api.facade.functions.activity_log import create_activity_log_event as create_activity_log_event
from xfworker.api.facade.functions.file_tokens import (
    get_parameter_file_token as get_parameter_file_token,
    get_xf_dependency_package_config_token as get_xf_dependency_package_config_token,
    get_xf_job_log_token as get_xf_job_log_token,
    get_xf_job_result_token as get_xf_job_result_token,
    get_xf_task_config_token as get_xf_task_config_token,
    get_xf_task_type_config_token as get_xf_task_type_config_token,
    get_xf_userdata_token as get_xf_userdata_token,
    get_xf_workflow_config_token as get_xf_workflow_config_token,
)
from xfworker.api.facade.functions.parameters import (
    create_parameter as create_parameter,
    format_version as format_version,
    get_parameter_file_references as get_parameter_file_references,
    parse_version as parse_version,
)
from xfworker.api.facade.functions.queries import (
    get_xf_combined_query as get_xf_combined_query,
    get_xf_parameter_float_sequence as get_xf_parameter_float_sequence,
    get_xf_parameter_paired_float_sequences as get_xf_parameter_paired_float_sequences,
    get_xf_parameter_paired_sequences as get_xf_parameter_paired_sequences,
    get_xf_parameter_sequence as get_xf_parameter_sequence,
)
from xfworker.api.facade.functions.records import (
    create_xf_job as create_xf_job,
    create_xf_task as create_xf_task,
    get_xf_db_entity_by_uuid as get_xf_db_entity_by_uuid,
    get_xf_job as get_xf_job,
    get_xf_jobs_by_task as get_xf_jobs_by_task,
    get_xf_jobs_by_workflow as get_xf_jobs_by_workflow,
    get_xf_project as get_xf_project,
    get_xf_projects as get_xf_projects,
    get_xf_task as get_xf_task,
    get_xf_task_type as get_xf_task_type,
    get_xf_task_types as get_xf_task_types,
    get_xf_tasks_by_workflow as get_xf_tasks_by_workflow,
    get_xf_workflow as get_xf_workflow,
    get_xf_workflow_run as get_xf_workflow_run,
    get_xf_workflows_by_project as get_xf_workflows_by_project,
    update_xf_job as update_xf_job,
    update_xf_project as update_xf_project,
    update_xf_task as update_xf_task,
    update_xf_workflow as update_xf_workflow,
)
from xfworker.api.facade.functions.sns import (
    get_sns_server_connection as get_sns_server_connection,
    get_xf_default_sns_server_connection_params as get_xf_default_sns_server_connection_params,
)
from xfworker.api.facade.worker_job import XFWorkerJob as XFWorkerJob
from xfworker.api.facade.working_directory import TemporaryWorkingDirectory as TemporaryWorkingDirectory
from xfworker.domain.activity_log_level import ActivityLogLevel as ActivityLogLevel

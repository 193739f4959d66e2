"""Kubernetes Jobs, by ``kubectl``."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from xfworker.adapters.batch.cluster_commands import ClusterCommands
from xfworker.adapters.batch.commands import run_command, unexpected_answer
from xfworker.ports.batch_system import BatchJob

_LABEL = "app.kubernetes.io/name=xfworker-pilot"
# The token is in a secret of the namespace, which whoever looks after it makes once.
_TEMPLATE = """\
apiVersion: batch/v1
kind: Job
metadata:
  generateName: {{name}}-
  labels:
    app.kubernetes.io/name: xfworker-pilot
spec:
  backoffLimit: 0
  ttlSecondsAfterFinished: 3600
  activeDeadlineSeconds: {{seconds}}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: xfworker-pilot
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 60
      containers:
        - name: pilot
          image: {{image}}
          command: {{command}}
          args: ["--batch-job", "kubernetes:$(PILOT_JOB)"]
          env:
            - name: PILOT_JOB
              valueFrom:
                fieldRef:
                  fieldPath: metadata.labels['job-name']
            - name: XFWORKER_SERVER_TOKEN
              valueFrom:
                secretKeyRef:
                  name: xfworker-token
                  key: token
            - name: XFTEMP
              value: /scratch
          resources:
            requests:
              cpu: "{{cores}}"
              memory: "{{memory_mib}}Mi"
            limits:
              memory: "{{memory_mib}}Mi"
              nvidia.com/gpu: "{{gpus?}}"
          volumeMounts:
            - name: scratch
              mountPath: /scratch
      volumes:
        - name: scratch
          emptyDir: {}
"""


class Kubernetes(ClusterCommands):
    """Implements :class:`~xfworker.ports.batch_system.BatchSystem`."""

    name = "kubernetes"
    title = "Kubernetes"
    template = _TEMPLATE
    submits = ("kubectl", "create", "-o", "name", "-f", "-")
    submitted = re.compile(r"job(?:\.batch)?/(\S+)")
    cancels = ("kubectl", "delete", "--wait=false", "--ignore-not-found", "job")
    job_id = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
    shares_files = False
    program = ("xfworker",)

    def quoted(self, words: Sequence[str]) -> str:
        """Write words as a list, which YAML takes as JSON has it; its `$(...)` is not a variable's."""
        return json.dumps([word.replace("$(", "$$(") for word in words])

    def listed(self) -> dict[str, str]:
        doing = "list batch jobs of Kubernetes"
        answer = run_command(["kubectl", "get", "jobs", "-l", _LABEL, "-o", "json"], doing)
        try:
            return {item["metadata"]["name"]: _state(item.get("status") or {}) for item in json.loads(answer)["items"]}
        except (ValueError, LookupError, TypeError):
            raise unexpected_answer(doing, "kubectl", answer) from None

    def own_job(self, environment: Mapping[str, str]) -> BatchJob | None:  # noqa: ARG002  the template says it
        return None


def _state(status: Mapping[str, Any]) -> str:
    named = [name for name in ("succeeded", "failed", "active") if status.get(name)]
    return named[0].upper() if named else "PENDING"

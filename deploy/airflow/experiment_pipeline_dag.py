"""The pipeline that looks for better settings: the service starts it when photos drift, or a person does.

It runs on Airflow 3, and on Airflow 2 from 2.7 on. Its workers need ``reconflow`` on their path and these variables:

==================== =================================================================================
EXPERIMENT_SETS      folder of labelled sets, each with images/, truth.csv and thresholds.csv
EXPERIMENT_GRID      TOML file of values to try, by option
EXPERIMENT_OUT       folder for runs and results; what it holds already is not run again
RECONFLOW_CONFIG     the configuration the service loads: measured first, replaced by a better one only
EXPERIMENT_BASELINE  the drift baseline the service reads (its RECONFLOW_DRIFT_BASELINE)
EXPERIMENT_SCHEDULER address of a Dask scheduler; a local cluster without it
==================== =================================================================================

The conf of a run says why it was started and is only recorded: nothing of it reaches a shell.
"""

from datetime import datetime, timedelta, timezone

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.bash import BashOperator

_SEARCH = (
    'set -eu; : "${EXPERIMENT_SETS:?} ${EXPERIMENT_GRID:?} ${EXPERIMENT_OUT:?} ${RECONFLOW_CONFIG:?}"; '
    'reconflow experiment "$EXPERIMENT_SETS" --grid "$EXPERIMENT_GRID" --out "$EXPERIMENT_OUT"'
    ' ${EXPERIMENT_SCHEDULER:+--scheduler "$EXPERIMENT_SCHEDULER"}'
)

with DAG(
    dag_id="experiment_pipeline_dag",
    description="Try settings on labelled photos; promote the best and rebuild the drift baseline.",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),  # noqa: UP017 - Airflow 2 runs on older Pythons
    schedule=None,
    catchup=False,
    max_active_runs=1,  # two would write to the same folder
    default_args={"retries": 1, "retry_delay": timedelta(minutes=5)},
    tags=["reconflow"],
) as dag:
    validate = BashOperator(
        task_id="validate",
        bash_command=f'{_SEARCH} --current "$RECONFLOW_CONFIG" --validate',
        execution_timeout=timedelta(minutes=10),
    )
    experiment = BashOperator(
        task_id="experiment",
        bash_command=f'{_SEARCH} --current "$RECONFLOW_CONFIG"',
        execution_timeout=timedelta(hours=24),
    )
    # Both read the stored results: nothing is run again. Promotion comes last, because it ends what "current" meant.
    baseline = BashOperator(
        task_id="baseline",
        bash_command=f'{_SEARCH} --current "$RECONFLOW_CONFIG" --baseline "${{EXPERIMENT_BASELINE:?}}"',
        execution_timeout=timedelta(hours=1),
    )
    promote = BashOperator(
        task_id="promote",
        bash_command=f'{_SEARCH} --promote "$RECONFLOW_CONFIG"',
        execution_timeout=timedelta(hours=1),
    )
    validate >> experiment >> baseline >> promote

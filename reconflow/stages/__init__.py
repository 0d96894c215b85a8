"""The stages: functions of values and a configuration. They know no Dask, no store, no environment, no other stage."""

"""The stages: functions of values and a configuration. No stage knows Dask, a store, the environment or another stage."""

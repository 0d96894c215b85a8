"""The task graph: what is left to do (``plan``), who does it (``tasks``, ``cluster``), and the run that drives both."""

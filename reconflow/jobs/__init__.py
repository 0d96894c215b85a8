"""Jobs that survive: what the service knows, decides and does, behind one door (`reconflow.jobs.service`)."""

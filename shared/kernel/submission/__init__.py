"""How a job begins: new_jobs.py has the rules, the others the statements by which nearly all jobs are made."""

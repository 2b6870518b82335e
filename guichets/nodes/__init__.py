"""Scrapyd nodes: the service each of them runs, and how they are asked from afar.

naming        how workers' names tell the node and the job
application   Scrapyd's application with this project's habits: a password, folders, an ordered stop
runner        what Scrapyd starts for each job
credentials   the file of the nodes' passwords
client        schedule, list and cancel jobs of a node
timers        recurring jobs as systemd units or crontab lines
"""

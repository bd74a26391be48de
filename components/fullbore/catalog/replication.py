"""What copies data, and the limits of it; what notices a loss."""

from __future__ import annotations

DATASYNC_SHORTEST_GAP_S = 3600
"""AWS DataSync user guide, "Scheduling when your AWS DataSync task runs": once an hour at most."""
DATASYNC_TASK_GBPS = 10.0
"""One agent's task fills a link of 10 Gbit/s, and more agents on one location do not raise it (AWS DataSync FAQ;
https://aws.amazon.com/blogs/storage/how-to-accelerate-your-data-transfers-with-aws-datasync-scale-out-architectures/)."""
DATASYNC_MOST_AGENTS = 8
"""Agents of one location: AgentArnList of the service model datasync-2018-11-09 (botocore)."""
DATASYNC_MANY_FILES = 20_000_000
DATASYNC_AGENTS_FOR_MANY_FILES = 4
"""Tens of millions of small files want four agents, else one is advised
(https://docs.aws.amazon.com/datasync/latest/userguide/multiple-agents.html)."""
DATASYNC_MOST_FILES = 50_000_000
"""Files of one run in Basic mode (https://docs.aws.amazon.com/datasync/latest/userguide/datasync-limits.html)."""
RTC_WORST_S = 900
"""S3 Replication Time Control: 99.99 % of objects within 15 minutes, each counted by itself, most in seconds
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-time-control.html)."""
RTC_MOST_GBPS = 1.0
"""While more is written than this rate carries, the 15 minutes are not promised, unless a higher quota is agreed
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/rtc-best-practices.html)."""
CONTINUOUS_WORST_S = 60
"""AWS Elastic Disaster Recovery: an RPO of seconds (AWS documentation), read as under a minute: our inference."""
CONTINUOUS_LAUNCH_S = (300, 1200)
"""AWS Elastic Disaster Recovery: 5 to 20 minutes until recovered machines run (AWS documentation)."""
FIBRE_S_PER_KM = 4.9e-6
"""Light in single-mode fibre, one way: refractive index 1.467 (ITU-T G.652) over the speed of light."""
SYNCHRONOUS_MOST_MS = 5.0
"""What a write may wait for the other side: the round trip that Microsoft recommends for synchronous replication, on
average (Introducing Windows Server 2016, chapter 3, Storage Replica, recommendations)."""

HEALTH_INTERVAL_S = 1.0
HEALTH_TIMEOUT_S = 2.0
UNHEALTHY_THRESHOLD = 3
"""The gateway asks each replica so often, waits so long, and gives up after so many (this project's choice)."""

"""The AWS side: a private network, an EKS cluster and its GPU node groups."""

from fullbore._aws import aws_provider
from fullbore.cloud.component import Cloud, CloudResources

__all__ = ["Cloud", "CloudResources", "aws_provider"]

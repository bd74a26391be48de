"""EventBridge rules and schedules, and CloudWatch alarms. Their names are their identity."""

from __future__ import annotations

from collections.abc import Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import camel, pascal, pick, tag_list, tag_map
from fullbore_sandbox.plugins.aws.row import Map, Row, Tagging, new_tags

NO_CALL = "EventBridge API reference: a rule cannot be renamed"

_RULE = {
    "name": "Name",
    "description": "Description",
    "eventPattern": "EventPattern",
    "scheduleExpression": "ScheduleExpression",
    "state": "State",
}


def _put_rule(api: Api, inputs: Map, token: str) -> str:
    api.events.put_rule(**pick(inputs, _RULE), Tags=new_tags(inputs, token))
    return inputs["name"]


def _read_rule(api: Api, ident: str, known: Map) -> Map | None:
    rule = api.events.describe_rule(Name=ident)
    return {
        "arn": rule["Arn"],
        "tags": tag_map(api.events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]),
        **pick(rule, {api_name: name for name, api_name in _RULE.items()}),
    }


def _update_rule(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    """PutRule writes all of it but the tags, which have calls of their own."""
    api.events.put_rule(**pick(inputs, _RULE))


EVENT_RULE = Row(
    type="aws:cloudwatch/eventRule:EventRule",
    inputs={"tags", *_RULE},
    token=lambda inputs: inputs["name"],
    create=_put_rule,
    read=_read_rule,
    update=_update_rule,
    delete=lambda api, ident, known: api.events.delete_rule(Name=ident),
    find=lambda api, token: api.events.describe_rule(Name=token)["Name"],
    tagging=Tagging(
        key=lambda ident, outputs: outputs["arn"],
        set=lambda api, arn, tags: api.events.tag_resource(ResourceARN=arn, Tags=tag_list(tags)),
        unset=lambda api, arn, keys: api.events.untag_resource(ResourceARN=arn, TagKeys=keys),
    ),
    name="name",
    replace={"name": NO_CALL},
    unique={"name"},
    defaults={"state": "ENABLED"},
    absent={"namePrefix"},
)

_ALARM = {
    "name": "AlarmName",
    "alarmDescription": "AlarmDescription",
    "comparisonOperator": "ComparisonOperator",
    "evaluationPeriods": "EvaluationPeriods",
    "datapointsToAlarm": "DatapointsToAlarm",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "period": "Period",
    "statistic": "Statistic",
    "threshold": "Threshold",
    "treatMissingData": "TreatMissingData",
    "alarmActions": "AlarmActions",
    "okActions": "OKActions",
}


def _alarm(inputs: Map) -> Map:
    dimensions = [{"Name": name, "Value": value} for name, value in inputs.get("dimensions", {}).items()]
    return {**pick(inputs, _ALARM), "Dimensions": dimensions}


def _put_alarm(api: Api, inputs: Map, token: str) -> str:
    api.cloudwatch.put_metric_alarm(**_alarm(inputs), Tags=new_tags(inputs, token))
    return inputs["name"]


def _read_alarm(api: Api, ident: str, known: Map) -> Map | None:
    found = api.cloudwatch.describe_alarms(AlarmNames=[ident])["MetricAlarms"]
    if not found:
        return None
    alarm = found[0]
    return {
        "arn": alarm["AlarmArn"],
        "dimensions": {each["Name"]: each["Value"] for each in alarm.get("Dimensions", [])},
        "tags": tag_map(api.cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]),
        **pick(alarm, {api_name: name for name, api_name in _ALARM.items()}),
    }


def _update_alarm(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    """PutMetricAlarm writes all of it but the tags, which have calls of their own."""
    api.cloudwatch.put_metric_alarm(**_alarm(inputs))


METRIC_ALARM = Row(
    type="aws:cloudwatch/metricAlarm:MetricAlarm",
    inputs={"dimensions", "tags", *_ALARM},
    token=lambda inputs: inputs["name"],
    create=_put_alarm,
    read=_read_alarm,
    update=_update_alarm,
    delete=lambda api, ident, known: api.cloudwatch.delete_alarms(AlarmNames=[ident]),
    find=lambda api, token: token if _read_alarm(api, token, {}) else None,
    tagging=Tagging(
        key=lambda ident, outputs: outputs["arn"],
        set=lambda api, arn, tags: api.cloudwatch.tag_resource(ResourceARN=arn, Tags=tag_list(tags)),
        unset=lambda api, arn, keys: api.cloudwatch.untag_resource(ResourceARN=arn, TagKeys=keys),
    ),
    name="name",
    replace={"name": "CloudWatch API reference: an alarm cannot be renamed"},
    unique={"name"},
    defaults={"alarmActions": [], "okActions": []},
    absent={"evaluateLowSampleCountPercentiles"},
)

_SCHEDULE = {
    "description": "Description",
    "scheduleExpression": "ScheduleExpression",
    "scheduleExpressionTimezone": "ScheduleExpressionTimezone",
    "state": "State",
}
_NESTED = {"flexibleTimeWindow": "FlexibleTimeWindow", "target": "Target"}
GROUP = "default"


def _schedule(inputs: Map) -> Map:
    return {**pick(inputs, _SCHEDULE), **{api_name: pascal(inputs[name]) for name, api_name in _NESTED.items()}}


def _split(ident: str) -> Map:
    """The id is GROUP/NAME, as in terraform-provider-aws."""
    group, _, name = ident.partition("/")
    return {"GroupName": group, "Name": name}


def _create_schedule(api: Api, inputs: Map, token: str) -> str:
    group = inputs.get("groupName", GROUP)
    api.scheduler.create_schedule(Name=inputs["name"], GroupName=group, **_schedule(inputs))
    return f"{group}/{inputs['name']}"


def _read_schedule(api: Api, ident: str, known: Map) -> Map | None:
    found = api.scheduler.get_schedule(**_split(ident))
    return {
        "arn": found["Arn"],
        "name": found["Name"],
        "groupName": found["GroupName"],
        **{name: camel(found[api_name]) for name, api_name in _NESTED.items()},
        **pick(found, {api_name: name for name, api_name in _SCHEDULE.items()}),
    }


def _update_schedule(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    api.scheduler.update_schedule(**_split(ident), **_schedule(inputs))


SCHEDULE = Row(
    type="aws:scheduler/schedule:Schedule",
    inputs={"name", "groupName", *_SCHEDULE, *_NESTED},
    token=lambda inputs: f"{inputs.get('groupName', GROUP)}/{inputs['name']}",
    create=_create_schedule,
    read=_read_schedule,
    update=_update_schedule,
    delete=lambda api, ident, known: api.scheduler.delete_schedule(**_split(ident)),
    find=lambda api, token: token if _read_schedule(api, token, {}) else None,
    name="name",
    replace=dict.fromkeys(("name", "groupName"), "EventBridge Scheduler API reference: no Update call takes it"),
    unique={"name", "groupName"},
    defaults={"state": "ENABLED", "groupName": GROUP, "scheduleExpressionTimezone": "UTC"},
    absent={"actionAfterCompletion", "namePrefix"},
)

ROWS = (EVENT_RULE, METRIC_ALARM, SCHEDULE)

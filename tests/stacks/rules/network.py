"""VPC, security groups, the balancer and its firewall."""

from typing import Any

from service import contract
from stacks.config.processes import WorkerPool
from tests.stacks.templates import Templates

GROUP = "AWS::EC2::SecurityGroup"
INGRESS, EGRESS = "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
TARGETS = "AWS::ElasticLoadBalancingV2::TargetGroup"
ACL = "AWS::WAFv2::WebACL"
# The rules of AWS's groups, as its page lists them:
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
MANAGED = {
    "AWSManagedRulesAmazonIpReputationList": {
        "AWSManagedIPReputationList", "AWSManagedReconnaissanceList", "AWSManagedIPDDoSList",
    },
    "AWSManagedRulesKnownBadInputsRuleSet": {
        *(f"{name}_{part}" for part in ("HEADER", "BODY", "URIPATH", "QUERYSTRING")
          for name in ("JavaDeserializationRCE", "Log4JRCE")),
        "Host_localhost_HEADER", "PROPFIND_METHOD", "ExploitablePaths_URIPATH", "ReactJSRCE_BODY",
    },
    "AWSManagedRulesCommonRuleSet": {
        "NoUserAgent_HEADER", "UserAgent_BadBots_HEADER",
        *(f"SizeRestrictions_{part}"
          for part in ("QUERYSTRING", "Cookie_HEADER", "BODY", "URIPATH")),
        *(f"EC2MetaDataSSRF_{part}" for part in ("BODY", "COOKIE", "URIPATH", "QUERYARGUMENTS")),
        *(f"GenericLFI_{part}" for part in ("QUERYARGUMENTS", "URIPATH", "BODY")),
        *(f"RestrictedExtensions_{part}" for part in ("URIPATH", "QUERYARGUMENTS")),
        *(f"GenericRFI_{part}" for part in ("QUERYARGUMENTS", "BODY", "URIPATH")),
        *(f"CrossSiteScripting_{part}" for part in ("COOKIE", "QUERYARGUMENTS", "BODY", "URIPATH")),
    },
}  # fmt: skip
# It judges paths of other programs, which are no text of a caller.
NO_TEXT = {"ExploitablePaths_URIPATH"}
# What callers may honestly send.
JUDGE_TEXT = {"NoUserAgent_HEADER"} | {
    rule
    for rules in MANAGED.values()
    for rule in rules
    if rule.endswith(("_BODY", "_QUERYARGUMENTS", "_QUERYSTRING", "_URIPATH"))
} - NO_TEXT
# How CDK writes down that nothing may leave; without any rule everything may.
NOBODY = {
    "CidrIp": "255.255.255.255/32",
    "Description": "Disallow all traffic",
    "FromPort": 252,
    "IpProtocol": "icmp",
    "ToPort": 86,
}
ANYBODY = "0.0.0.0/0"
DATABASE_PORT = 5433


def attributes(templates: Templates, kind: str, property: str) -> dict[str, Any]:
    return {each["Key"]: each["Value"] for each in templates.one(kind).get(property)}


def open_ports(templates: Templates) -> dict[int, str]:
    """Ports that an address range may come in by, and whose they are."""
    found = {}
    for group in templates.all(GROUP):
        for rule in group.get("SecurityGroupIngress") or []:
            assert rule["IpProtocol"] == "tcp"
            assert rule["FromPort"] == rule["ToPort"]
            assert rule["CidrIp"] == ANYBODY
            found[rule["FromPort"]] = group.id
    return found


def nothing_is_open_but_the_balancer(templates: Templates) -> None:
    """EC2.18, EC2.19, CKV2_AWS_5: 80 and 443 of the balancer, and no other address range."""
    wanted = {80, 443} if templates.stage.is_https else {80}
    found = open_ports(templates)
    assert set(found) == wanted
    assert all(group.startswith("Door") for group in found.values())
    for rule in templates.all(INGRESS):
        assert rule.get("CidrIp") is None
        assert rule.get("CidrIpv6") is None


def ways_are_named_at_both_ends(templates: Templates) -> None:
    """EC2.2, EC2.21: each way between our parts is a rule out and a rule in, for one port."""
    ways = {("Door", "ApiService", contract.API_PORT)}
    ways |= {(who, "Database", DATABASE_PORT) for who in ("ApiService", "WorkerService")}
    incoming = {
        (name(rule.get("SourceSecurityGroupId")), name(rule.get("GroupId")), port(rule.properties))
        for rule in templates.all(INGRESS)
    }
    outgoing = {
        (
            name(rule.get("GroupId")),
            name(rule.get("DestinationSecurityGroupId")),
            port(rule.properties),
        )
        for rule in templates.all(EGRESS)
    }
    if not templates.stage.vpc_id:  # whatever egress is: it may become "endpoints"
        ways |= {(who, "Endpoints", 443) for who in ("ApiService", "WorkerService")}
        assert templates.one(GROUP, "NetworkEndpoints")
    assert incoming == ways
    assert outgoing == ways


def name(group: Any) -> str:
    text = str(group)
    (found,) = (
        each
        for each in ("ApiService", "WorkerService", "Database", "Door", "Endpoints")
        if f"{each}SecurityGroup" in text
    )
    return found


def _scope(pool: WorkerPool) -> str:
    return f"Pools{pool.pool}" if pool.pool else ""


def port(rule: dict[str, Any]) -> int:
    assert rule["IpProtocol"] == "tcp"
    assert rule["FromPort"] == rule["ToPort"]
    return int(rule["FromPort"])


def what_leaves_for_the_world_is_what_the_service_fetches(templates: Templates) -> None:
    """CKV_AWS_382: HTTPS from ECS tasks alone, and of workers what their jobs may fetch."""
    workers = [f"{_scope(pool)}WorkerService" for pool in templates.stage.worker_pools]
    wanted = {"ApiService": {443}} | {key: set(contract.WORKER_INTERNET_PORTS) for key in workers}
    found: dict[str, list[int]] = {prefix: [] for prefix in wanted}
    for group in templates.all(GROUP):
        for rule in group.get("SecurityGroupEgress") or []:
            if group.id.startswith(("ApiService", *workers)):
                assert rule["CidrIp"] == ANYBODY
                found[group.id.partition("Security")[0]].append(port(rule))
            else:
                assert rule == NOBODY
    assert {prefix: sorted(ports) for prefix, ports in found.items()} == {
        prefix: sorted(ports) for prefix, ports in wanted.items()
    }
    assert templates.one(GROUP, "Database").get("SecurityGroupEgress") == [NOBODY]


def no_group_lets_everything_out(templates: Templates) -> None:
    """A group without a rule for what leaves would let everything leave."""
    for group in templates.all(GROUP):
        separate = [each for each in templates.all(EGRESS) if group.id in str(each.get("GroupId"))]
        assert group.get("SecurityGroupEgress") or separate, group.id


def subnets_give_no_addresses(templates: Templates) -> None:
    """EC2.15, CKV_AWS_130."""
    for subnet in templates.all("AWS::EC2::Subnet"):
        assert subnet.get("MapPublicIpOnLaunch") in (None, False)
        assert "Fn::GetAZs" in str(subnet.get("AvailabilityZone"))


def default_group_is_closed(templates: Templates) -> None:
    """EC2.2, CKV2_AWS_12."""
    found = templates.one("Custom::VpcRestrictDefaultSG")
    assert "DefaultSecurityGroup" in str(found.get("DefaultSecurityGroupId"))


def traffic_is_logged(templates: Templates) -> None:
    """EC2.6, CKV2_AWS_11: all of it, accepted and rejected."""
    log = templates.one("AWS::EC2::FlowLog")
    assert log.get("TrafficType") == "ALL"
    assert log.get("ResourceType") == "VPC"
    assert log.get("LogDestinationType") == "cloud-watch-logs"
    assert "FlowLogs" in str(log.get("LogGroupName"))


def objects_are_reached_without_the_internet(templates: Templates) -> None:
    """EC2.10: S3 by a gateway endpoint, from every subnet; it costs nothing."""
    (gateway,) = (
        each
        for each in templates.all("AWS::EC2::VPCEndpoint")
        if each.get("VpcEndpointType") == "Gateway"
    )
    assert len(gateway.get("RouteTableIds")) == len(templates.all("AWS::EC2::RouteTable"))


def gateways_are_as_configured(templates: Templates) -> None:
    """With "nat" one in each zone, else none."""
    stage = templates.stage
    found = [each for each in templates if each.type == "AWS::EC2::NatGateway"]
    assert len(found) == (stage.availability_zones if stage.egress == "nat" else 0)


def database_subnets_lead_nowhere(templates: Templates) -> None:
    """RDS.46: no route from an isolated subnet to a gateway."""
    for route in templates.all("AWS::EC2::Route"):
        assert "Isolated" not in str(route.get("RouteTableId"))


def balancer_is_strict_and_logs(templates: Templates) -> None:
    """ELB.4, ELB.5, ELB.6, ELB.12, CKV_AWS_91, CKV_AWS_131, CKV_AWS_150, CKV_AWS_328."""
    found = attributes(templates, BALANCER, "LoadBalancerAttributes")
    assert found["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert found["routing.http.desync_mitigation_mode"] in {"defensive", "strictest"}
    assert found["access_logs.s3.enabled"] == "true"
    assert "LogBucket" in str(found["access_logs.s3.bucket"])
    assert found["access_logs.s3.prefix"] == "balancer"
    is_locked = str(templates.stage.is_locked).lower()
    assert found["deletion_protection.enabled"] == is_locked


def balancer_spans_zones_behind_its_own_group(templates: Templates) -> None:
    """ELB.13, ELB.10."""
    balancer = templates.one(BALANCER)
    assert len(balancer.get("Subnets")) >= 2
    assert all("PublicSubnet" in str(subnet) for subnet in balancer.get("Subnets"))
    assert balancer.get("Scheme") == "internet-facing"
    assert balancer.get("Type") == "application"
    (group,) = balancer.get("SecurityGroups")
    assert group["Fn::GetAtt"][0].startswith("DoorSecurityGroup")


def timeouts_fit_together(templates: Templates) -> None:
    """The server keeps connections longer than the balancer, which waits for less than
    the time an ECS task has to stop."""
    found = attributes(templates, BALANCER, "LoadBalancerAttributes")
    idle = int(found["idle_timeout.timeout_seconds"])
    assert idle == 60 < contract.KEEP_ALIVE_SECONDS
    targets = attributes(templates, TARGETS, "TargetGroupAttributes")
    assert targets["stickiness.enabled"] == "false"  # any ECS task may answer
    delay = int(targets["deregistration_delay.timeout_seconds"])
    assert delay == 30 <= templates.stage.drain_seconds


def balancer_asks_what_touches_nothing(templates: Templates) -> None:
    """A check that asks the database would replace every ECS task in a failover."""
    group = templates.one(TARGETS)
    assert group.get("HealthCheckPath") == contract.LIVE_PATH
    assert group.get("Matcher.HttpCode") == "200"
    assert group.get("TargetType") == "ip"
    assert group.get("Port") == contract.API_PORT
    assert group.get("Protocol") == "HTTP"
    patience = group.get("HealthCheckIntervalSeconds") * group.get("UnhealthyThresholdCount")
    assert 20 <= patience <= 60
    assert 0 < group.get("HealthCheckTimeoutSeconds") < group.get("HealthCheckIntervalSeconds")
    assert group.get("HealthyThresholdCount") == 2


def callers_get_https_where_it_is_configured(templates: Templates) -> None:
    """ELB.1, ELB.17, ELB.18, CKV_AWS_2, CKV_AWS_103: a modern policy, and HTTP only to redirect."""
    listeners = {each.get("Protocol"): each for each in templates.all(LISTENER)}
    if not templates.stage.is_https:
        assert set(listeners) == {"HTTP"}
        transport = templates.outputs()["Transport"]["Value"]
        assert "in the clear" in transport  # and it says so
        assert listeners["HTTP"].get("Port") == 80
        return
    assert set(listeners) == {"HTTP", "HTTPS"}
    https = listeners["HTTPS"]
    assert https.get("SslPolicy") == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    assert https.get("Port") == 443
    assert len(https.get("Certificates")) == 1
    (forward,) = https.get("DefaultActions")
    assert forward["Type"] == "forward"
    assert listeners["HTTP"].get("Port") == 80
    (redirect,) = listeners["HTTP"].get("DefaultActions")
    assert redirect["Type"] == "redirect"
    assert redirect["RedirectConfig"] == {
        "Port": "443",
        "Protocol": "HTTPS",
        "StatusCode": "HTTP_301",
    }


def firewall_stands_before_the_door_where_configured(templates: Templates) -> None:
    """ELB.16, WAF.10, WAF.12: managed rules that act, a limit for each address, metrics."""
    if not templates.stage.web_firewall:
        assert [each for each in templates if each.type == ACL] == []
        return
    acl = templates.one(ACL)
    assert acl.get("Scope") == "REGIONAL"
    assert acl.get("DefaultAction") == {"Allow": {}}
    rules = {rule["Name"]: rule for rule in acl.get("Rules")}
    assert rules["Rate"]["Action"] == {"Block": {}}
    rate = rules.pop("Rate")["Statement"]["RateBasedStatement"]
    assert rate["AggregateKeyType"] == "IP"
    assert rate["Limit"] == templates.stage.web_firewall_requests
    assert rate["EvaluationWindowSec"] == 300
    assert set(rules) == {
        "AWSManagedRulesAmazonIpReputationList",
        "AWSManagedRulesKnownBadInputsRuleSet",
        "AWSManagedRulesCommonRuleSet",
    }
    for name, rule in rules.items():
        assert rule["OverrideAction"] == {"None": {}}  # as AWS made them: they block
        group = rule["Statement"]["ManagedRuleGroupStatement"]
        assert (group["VendorName"], group["Name"]) == ("AWS", name)
        # what a payload may hold is counted, all else is refused
        counted = {
            each["Name"]: each["ActionToUse"] for each in group.get("RuleActionOverrides", [])
        }
        assert counted == {rule: {"Count": {}} for rule in JUDGE_TEXT if rule in MANAGED[name]}
    assert [rule["Priority"] for rule in acl.get("Rules")] == [0, 1, 2, 3]
    for name, each in [
        ("Rate", acl.get("Rules")[0]),
        *rules.items(),
        (acl.get("Name"), acl.properties),
    ]:
        assert each["VisibilityConfig"] == {
            "CloudWatchMetricsEnabled": True,
            "MetricName": name,  # alarms and dashboards find it by that
            "SampledRequestsEnabled": True,
        }
    association = templates.one("AWS::WAFv2::WebACLAssociation")
    assert "DoorBalancer" in str(association.get("ResourceArn"))
    assert acl.id in str(association.get("WebACLArn"))


def firewall_log_holds_no_credentials(templates: Templates) -> None:
    """WAF.11: logged, without keys and cookies."""
    if not templates.stage.web_firewall:
        return
    logging = templates.one("AWS::WAFv2::LoggingConfiguration")
    hidden = {field["SingleHeader"]["Name"] for field in logging.get("RedactedFields")}
    assert hidden == {"authorization", "cookie", "x-api-key"}
    assert "FirewallLog" in str(logging.get("LogDestinationConfigs"))
    assert "FirewallAcl" in str(logging.get("ResourceArn"))

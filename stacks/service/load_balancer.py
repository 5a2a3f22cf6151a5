"""The Application Load Balancer in front of the API."""

from aws_cdk import Duration
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_s3 as s3
from constructs import Construct

from service import contract
from stacks.acknowledge import acknowledge
from stacks.config.stage import Stage
from stacks.data.log_bucket import BALANCER_LOGS_PREFIX
from stacks.network.vpc import Network
from stacks.service.ecs_service import EcsService

IDLE_SECONDS = 60  # below the API's keep-alive, so that the API never closes a connection in use
DEREGISTRATION_SECONDS = 30  # with AWS's default of 300, each deployment would wait
HTTP, HTTPS = 80, 443


class LoadBalancer(Construct):
    """HTTPS with TLS 1.2 or 1.3 and a redirect from HTTP, or only HTTP if the stage allows it.

    `url` is the API's URL, `transport` says in words how it is protected. About 20 USD a month.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        network: Network,
        logs: s3.IBucket,
        api: EcsService,
    ) -> None:
        super().__init__(scope, id)
        self.security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=network.vpc,
            description="The balancer, the one thing that is open to the internet",
            allow_all_outbound=False,
        )
        self.balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            internet_facing=True,
            security_group=self.security_group,
            deletion_protection=stage.is_locked,
            drop_invalid_header_fields=True,
            desync_mitigation_mode=elb.DesyncMitigationMode.DEFENSIVE,
            idle_timeout=Duration.seconds(IDLE_SECONDS),
        )
        # Not `log_access_logs`, which needs the region at synth; log_bucket.py has the policy.
        self.balancer.set_attribute("access_logs.s3.enabled", "true")
        self.balancer.set_attribute("access_logs.s3.bucket", logs.bucket_name)
        self.balancer.set_attribute("access_logs.s3.prefix", BALANCER_LOGS_PREFIX)

        self.target_group = elb.ApplicationTargetGroup(
            self,
            "Api",
            vpc=network.vpc,
            protocol=elb.ApplicationProtocol.HTTP,
            port=contract.API_PORT,
            target_type=elb.TargetType.IP,
            deregistration_delay=Duration.seconds(DEREGISTRATION_SECONDS),
            health_check=elb.HealthCheck(
                path=contract.LIVE_PATH,
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
                healthy_http_codes="200",
            ),
        )
        api.service.attach_to_application_target_group(self.target_group)
        api.security_group.connections.allow_from(
            self.security_group, ec2.Port.tcp(contract.API_PORT), "from the balancer"
        )
        self.url, self.transport = self._open(stage)
        self._acknowledge(stage)
        # ECS refuses an ECS service whose target group no listener uses yet.
        api.service.node.add_dependency(self.listener)

    def _open(self, stage: Stage) -> tuple[str, str]:
        self.security_group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTP), "HTTP")
        forward = elb.ListenerAction.forward([self.target_group])
        if not stage.is_https:
            self.listener = self._listener(HTTP, forward)
            warning = "HTTP in the clear: set certificate_arn or domain_name before real use"
            return f"http://{self.balancer.load_balancer_dns_name}", warning
        self.security_group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "HTTPS")
        self.listener = self._listener(HTTPS, forward, [self._certificate(stage)])
        # A port has one listener, so this one keeps the logical id of a stage without HTTPS.
        redirect = elb.ListenerAction.redirect(port=str(HTTPS), protocol="HTTPS", permanent=True)
        self.redirect = self._listener(HTTP, redirect)
        # In a live stage, the HTTP listener forwards until the HTTPS listener exists.
        self.redirect.node.add_dependency(self.listener)
        says = "HTTPS, TLS 1.2 or 1.3"
        if stage.domain_name:
            return f"https://{stage.domain_name}", says
        # The certificate is for a name that the owner of the stage has, and callers must use it.
        return (
            f"https://{self.balancer.load_balancer_dns_name}",
            f"{says}; point the name in the certificate at this balancer, and call that",
        )

    def _acknowledge(self, stage: Stage) -> None:
        acknowledge(
            self.security_group,
            "The one door to the internet; what stands behind it asks for credentials.",
            "AwsSolutions-EC23",
        )
        if not stage.is_https:
            acknowledge(
                self.balancer,
                "This stage may answer in the clear (allow_http = true), and an output says so.",
                "NIST.800.53.R5-ALBHttpToHttpsRedirection",
                "NIST.800.53.R5-ELBv2ACMCertificateRequired",
            )
        else:
            acknowledge(
                self.redirect,
                "This listener answers with a redirect to the one that has the certificate.",
                "NIST.800.53.R5-ELBv2ACMCertificateRequired",
            )
        if not stage.is_locked:
            acknowledge(
                self.balancer,
                "This stage may be removed in one command: is_protected is false, or this is its "
                "first deployment.",
                "NIST.800.53.R5-ELBDeletionProtectionEnabled",
            )
        if not stage.web_firewall:
            acknowledge(
                self.balancer,
                "A firewall is 9 USD a month; web_firewall = true adds it.",
                "NIST.800.53.R5-ALBWAFEnabled",
            )

    def _listener(
        self,
        port: int,
        action: elb.ListenerAction,
        certificates: list[elb.IListenerCertificate] | None = None,
    ) -> elb.ApplicationListener:
        is_https = port == HTTPS
        protocol = elb.ApplicationProtocol.HTTPS if is_https else elb.ApplicationProtocol.HTTP
        return self.balancer.add_listener(
            protocol.name,
            port=port,
            protocol=protocol,
            open=False,
            certificates=certificates,
            ssl_policy=elb.SslPolicy.TLS13_12_RES_PQ if is_https else None,
            default_action=action,
        )

    def _certificate(self, stage: Stage) -> elb.IListenerCertificate:
        zone = None
        if stage.domain_name:
            zone = route53.HostedZone.from_hosted_zone_attributes(
                self, "Zone", hosted_zone_id=stage.hosted_zone_id, zone_name=stage.hosted_zone_name
            )
            route53.ARecord(
                self,
                "Address",
                zone=zone,
                record_name=stage.domain_name,
                target=route53.RecordTarget.from_alias(targets.LoadBalancerTarget(self.balancer)),
            )
        if stage.certificate_arn:
            return elb.ListenerCertificate.from_arn(stage.certificate_arn)
        certificate = acm.Certificate(
            self,
            "Certificate",
            domain_name=stage.domain_name,
            validation=acm.CertificateValidation.from_dns(zone),
        )
        return elb.ListenerCertificate.from_certificate_manager(certificate)

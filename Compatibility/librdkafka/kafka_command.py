"""What librdkafka's tests call from Kafka's bin folder, kafka-topics.sh and kafka-acls.sh, as far as they do, through the admin client."""

import argparse
import sys

from confluent_kafka.admin import (
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, NewPartitions, NewTopic, ResourcePatternType, ResourceType)


def topics(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap-server", required=True)
    for action in ("--create", "--alter", "--delete"):
        parser.add_argument(action, action="store_true")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--replication-factor", type=int, default=1)
    parser.add_argument("--config", action="append", default=[])
    given = parser.parse_args(arguments)
    admin = AdminClient({"bootstrap.servers": given.bootstrap_server})
    if given.create:
        made = admin.create_topics(
            [NewTopic(given.topic, given.partitions, given.replication_factor, config=dict(one.split("=", 1) for one in given.config))])
    elif given.alter:
        made = admin.create_partitions([NewPartitions(given.topic, given.partitions)])
    else:
        made = admin.delete_topics([given.topic])
    made[given.topic].result(30)


def acls(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap-server", required=True)
    for flag in ("--add", "--remove", "--force"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--allow-principal")
    parser.add_argument("--deny-principal")
    parser.add_argument("--allow-host", default="*")
    parser.add_argument("--deny-host", default="*")
    parser.add_argument("--operation", required=True)
    parser.add_argument("--topic", required=True)
    given = parser.parse_args(arguments)
    permission = AclPermissionType.ALLOW if given.allow_principal else AclPermissionType.DENY
    rule = (
        ResourceType.TOPIC, given.topic, ResourcePatternType.LITERAL, given.allow_principal or given.deny_principal,
        given.allow_host if given.allow_principal else given.deny_host, AclOperation[given.operation.upper()], permission)
    admin = AdminClient({"bootstrap.servers": given.bootstrap_server})
    if given.add:
        done = admin.create_acls([AclBinding(*rule)])
    else:
        done = admin.delete_acls([AclBindingFilter(*rule)])
    for future in done.values():
        future.result(30)


if __name__ == "__main__":
    {"kafka-topics.sh": topics, "kafka-acls.sh": acls}[sys.argv[1]](sys.argv[2:])

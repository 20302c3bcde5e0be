package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

func secured(authority, mechanism, user, password string) *kafka.Transport {
	roots := x509.NewCertPool()
	require(roots.AppendCertsFromPEM(must(os.ReadFile(authority))), "certificates in ", authority)
	var how sasl.Mechanism = plain.Mechanism{Username: user, Password: password}
	switch mechanism {
	case "SCRAM-SHA-256":
		how = must(scram.Mechanism(scram.SHA256, user, password))
	case "SCRAM-SHA-512":
		how = must(scram.Mechanism(scram.SHA512, user, password))
	}
	return &kafka.Transport{TLS: &tls.Config{RootCAs: roots, ServerName: "localhost"}, SASL: how}
}

// TLS with a mechanism: AUTHORITY MECHANISM USER PASSWORD. Writes and reads; a wrong password is refused.
func security(arguments []string) {
	transport := secured(arguments[0], arguments[1], arguments[2], arguments[3])
	client.Transport = transport
	name := topic("secured", 1)
	out := writer(name)
	check(out.WriteMessages(background, kafka.Message{Value: []byte("secret")}))
	check(out.Close())
	in := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{bootstrap}, GroupID: unique("secured"), Topic: name, StartOffset: kafka.FirstOffset, MaxWait: 50 * time.Millisecond,
		Dialer: &kafka.Dialer{TLS: transport.TLS, SASLMechanism: transport.SASL, Timeout: 10 * time.Second}})
	require(string(must(in.ReadMessage(background)).Value) == "secret", "read")
	check(in.Close())
	wrong := &kafka.Client{Addr: client.Addr, Timeout: 10 * time.Second, Transport: secured(arguments[0], arguments[1], arguments[2], "wrong")}
	_, err := wrong.Metadata(background, &kafka.MetadataRequest{})
	require(err != nil, "a wrong password")
}

// Access rules: AUTHORITY ADMIN PASSWORD USER PASSWORD. The user may write what a rule allows him, and no more when it is gone.
func rules(arguments []string) {
	client.Transport = secured(arguments[0], "PLAIN", arguments[1], arguments[2])
	name := topic("rules", 1)
	write := func() error {
		out := writer(name)
		out.Transport = secured(arguments[0], "PLAIN", arguments[3], arguments[4])
		out.MaxAttempts = 1
		defer out.Close()
		return out.WriteMessages(background, kafka.Message{Value: []byte("v")})
	}
	require(write() != nil, "writing without a rule")
	rule := kafka.ACLEntry{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: name, ResourcePatternType: kafka.PatternTypeLiteral, Principal: "User:" + arguments[3],
		Host: "*", Operation: kafka.ACLOperationTypeWrite, PermissionType: kafka.ACLPermissionTypeAllow}
	for _, err := range must(client.CreateACLs(background, &kafka.CreateACLsRequest{ACLs: []kafka.ACLEntry{rule}})).Errors {
		check(err)
	}
	check(write())
	described := must(client.DescribeACLs(background, &kafka.DescribeACLsRequest{Filter: kafka.ACLFilter{
		ResourceTypeFilter: kafka.ResourceTypeTopic, ResourceNameFilter: name, ResourcePatternTypeFilter: kafka.PatternTypeLiteral,
		PrincipalFilter: rule.Principal, HostFilter: "*", Operation: kafka.ACLOperationTypeAny, PermissionType: kafka.ACLPermissionTypeAny}}))
	require(described.Error == nil && len(described.Resources) == 1 && len(described.Resources[0].ACLs) == 1, described)
	deleted := must(client.DeleteACLs(background, &kafka.DeleteACLsRequest{Filters: []kafka.DeleteACLsFilter{{
		ResourceTypeFilter: kafka.ResourceTypeTopic, ResourceNameFilter: name, ResourcePatternTypeFilter: kafka.PatternTypeLiteral,
		PrincipalFilter: rule.Principal, HostFilter: "*", Operation: kafka.ACLOperationTypeAny, PermissionType: kafka.ACLPermissionTypeAny}}}))
	require(len(deleted.Results) == 1 && len(deleted.Results[0].MatchingACLs) == 1, deleted)
	require(write() != nil, "writing without a rule any more")
}

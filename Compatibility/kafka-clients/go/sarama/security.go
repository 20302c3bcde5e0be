package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"hash"
	"os"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// One exchange of SCRAM, by the library that Sarama's users use.
type scramClient struct {
	generator    scram.HashGeneratorFcn
	conversation *scram.ClientConversation
}

func (c *scramClient) Begin(user, password, authorization string) error {
	client, err := c.generator.NewClient(user, password, authorization)
	if err == nil {
		c.conversation = client.NewConversation()
	}
	return err
}

func (c *scramClient) Step(challenge string) (string, error) { return c.conversation.Step(challenge) }
func (c *scramClient) Done() bool                            { return c.conversation.Done() }

func secured(authority, mechanism, user, password string) *sarama.Config {
	config := configuration()
	roots := x509.NewCertPool()
	require(roots.AppendCertsFromPEM(must(os.ReadFile(authority))), "certificates in ", authority)
	config.Net.TLS.Enable = true
	config.Net.TLS.Config = &tls.Config{RootCAs: roots, ServerName: "localhost"}
	config.Net.SASL.Enable = true
	config.Net.SASL.User, config.Net.SASL.Password = user, password
	config.Net.SASL.Mechanism = sarama.SASLMechanism(mechanism)
	var generator func() hash.Hash = sha256.New
	if mechanism == sarama.SASLTypeSCRAMSHA512 {
		generator = sha512.New
	}
	config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{generator: generator} }
	config.Metadata.Retry.Max = 0
	return config
}

// TLS with a mechanism: AUTHORITY MECHANISM USER PASSWORD. Writes and reads; a wrong password is refused.
func security(arguments []string) {
	config := secured(arguments[0], arguments[1], arguments[2], arguments[3])
	admin := must(sarama.NewClusterAdmin([]string{bootstrap}, config))
	name := unique("secured")
	check(admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
	defer admin.Close()
	produce(config, message(name, 0, "k", "secret"))
	require(string(consume(config, name, 0, sarama.OffsetOldest, 1)[0].Value) == "secret", "read")
	group := must(sarama.NewConsumerGroup([]string{bootstrap}, unique("secured"), config))
	check(group.Close())
	check(admin.DeleteTopic(name))
	_, err := sarama.NewClient([]string{bootstrap}, secured(arguments[0], arguments[1], arguments[2], "wrong"))
	require(err != nil, "a wrong password")
	_, err = sarama.NewClient([]string{bootstrap}, secured(arguments[0], arguments[1], "nobody", "wrong"))
	require(err != nil, "an unknown user")
	config.Net.SASL.Enable = false
	_, err = sarama.NewClient([]string{bootstrap}, config)
	require(err != nil, "without a name")
}

// Access rules: AUTHORITY ADMIN PASSWORD USER PASSWORD. The user may nothing, then what he is allowed, then nothing again.
func rules(arguments []string) {
	admin := must(sarama.NewClusterAdmin([]string{bootstrap}, secured(arguments[0], "PLAIN", arguments[1], arguments[2])))
	defer admin.Close()
	name := unique("rules")
	check(admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
	user := secured(arguments[0], "PLAIN", arguments[3], arguments[4])
	user.Producer.Retry.Max = 0
	write := func() error {
		producer, err := sarama.NewSyncProducer([]string{bootstrap}, user)
		if err != nil {
			return err
		}
		defer producer.Close()
		_, _, err = producer.SendMessage(message(name, 0, "", "v"))
		return err
	}
	refused(write(), sarama.ErrTopicAuthorizationFailed, "writing without a rule")
	resource := sarama.Resource{ResourceType: sarama.AclResourceTopic, ResourceName: "compat-sarama-rules", ResourcePatternType: sarama.AclPatternPrefixed}
	rule := sarama.Acl{Principal: "User:" + arguments[3], Host: "*", Operation: sarama.AclOperationWrite, PermissionType: sarama.AclPermissionAllow}
	check(admin.CreateACLs([]*sarama.ResourceAcls{{Resource: resource, Acls: []*sarama.Acl{&rule}}}))
	check(write())
	forbidden := rule
	forbidden.PermissionType = sarama.AclPermissionDeny
	resource.ResourceName, resource.ResourcePatternType = name, sarama.AclPatternLiteral
	check(admin.CreateACL(resource, forbidden))
	refused(write(), sarama.ErrTopicAuthorizationFailed, "writing against a rule")
	filter := sarama.AclFilter{
		Version: 1, ResourceType: sarama.AclResourceTopic, ResourceName: &name, ResourcePatternTypeFilter: sarama.AclPatternMatch,
		Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionAny}
	found := must(admin.ListAcls(filter))
	require(len(found) == 2, "rules: ", found)
	require(len(must(admin.DeleteACL(filter, false))) == 2, "rules that were deleted")
	require(len(must(admin.ListAcls(filter))) == 0, "none are left")
	refused(write(), sarama.ErrTopicAuthorizationFailed, "writing without a rule any more")
	check(admin.DeleteTopic(name))
}

// Users made by an administrator: AUTHORITY ADMIN PASSWORD.
func users(arguments []string) {
	admin := must(sarama.NewClusterAdmin([]string{bootstrap}, secured(arguments[0], "PLAIN", arguments[1], arguments[2])))
	defer admin.Close()
	user := unique("user")
	for _, one := range must(admin.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{{
		Name: user, Mechanism: sarama.SCRAM_MECHANISM_SHA_512, Iterations: 4096, Salt: []byte("a salt of the test"), Password: []byte("new")}})) {
		require(one.ErrorCode == sarama.ErrNoError, one.ErrorCode)
	}
	described := must(admin.DescribeUserScramCredentials([]string{user}))[0]
	require(described.ErrorCode == sarama.ErrNoError && described.CredentialInfos[0].Iterations == 4096, described)
	client := must(sarama.NewClient([]string{bootstrap}, secured(arguments[0], "SCRAM-SHA-512", user, "new")))
	check(client.Close())
	for _, one := range must(admin.DeleteUserScramCredentials([]sarama.AlterUserScramCredentialsDelete{{Name: user, Mechanism: sarama.SCRAM_MECHANISM_SHA_512}})) {
		require(one.ErrorCode == sarama.ErrNoError, one.ErrorCode)
	}
	_, err := sarama.NewClient([]string{bootstrap}, secured(arguments[0], "SCRAM-SHA-512", user, "new"))
	require(err != nil, "a user that is gone")
}

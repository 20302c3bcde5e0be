package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// One member of a group: what it was given last, how often it was given something, and what it read, which is marked as read.
type groupMember struct {
	group  sarama.ConsumerGroup
	cancel context.CancelFunc
	done   chan error

	lock   sync.Mutex
	holds  []int32
	rounds int
	values map[string]int
}

func (m *groupMember) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.holds = nil
	for _, partitions := range session.Claims() {
		m.holds = append(m.holds, partitions...)
	}
	m.rounds++
	return nil
}

func (m *groupMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *groupMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for one := range claim.Messages() {
		m.lock.Lock()
		m.values[string(one.Value)]++
		m.lock.Unlock()
		session.MarkMessage(one, "")
	}
	return nil
}

func (m *groupMember) state() (holds, rounds int) {
	m.lock.Lock()
	defer m.lock.Unlock()
	return len(m.holds), m.rounds
}

func join(config *sarama.Config, group, topic string) *groupMember {
	made := &groupMember{
		group: must(sarama.NewConsumerGroup([]string{bootstrap}, group, config)), done: make(chan error, 1), values: map[string]int{}}
	var running context.Context
	running, made.cancel = context.WithCancel(context.Background())
	go func() {
		for running.Err() == nil {
			if err := made.group.Consume(running, []string{topic}, made); err != nil && running.Err() == nil {
				panic(err)
			}
		}
		made.done <- nil
	}()
	return made
}

func (m *groupMember) leave() {
	m.cancel()
	<-m.done
	check(m.group.Close())
}

// Waits until each of the members holds so many partitions.
func share(each int, members ...*groupMember) {
	eventually(fmt.Sprint(len(members), " members with ", each, " partitions each"), func() bool {
		for _, one := range members {
			if holds, _ := one.state(); holds != each {
				return false
			}
		}
		return true
	})
}

// Waits until the members have read, together, the values from..<to, and sees that none came twice.
func read(from, to int, members ...*groupMember) {
	eventually(fmt.Sprint("values from ", from, " to ", to), func() bool {
		for value := from; value < to; value++ {
			times := 0
			for _, one := range members {
				one.lock.Lock()
				times += one.values[fmt.Sprint(value)]
				one.lock.Unlock()
			}
			require(times < 2, value, " was read ", times, " times")
			if times == 0 {
				return false
			}
		}
		return true
	})
}

func groupConfiguration() *sarama.Config {
	config := configuration()
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	return config
}

// Writes the values from..<to, to the topic's four partitions in turn.
func fill(topic string, from, to int) {
	var messages []*sarama.ProducerMessage
	for value := from; value < to; value++ {
		messages = append(messages, message(topic, int32(value%4), "", fmt.Sprint(value)))
	}
	produce(configuration(), messages...)
}

// Two members share, one leaves, the other has all; who comes later goes on where they stopped. With every assignor.
func groups([]string) {
	for _, strategy := range []sarama.BalanceStrategy{
		sarama.NewBalanceStrategyRange(), sarama.NewBalanceStrategyRoundRobin(), sarama.NewBalanceStrategySticky()} {
		name, group := topic("group-"+strategy.Name(), 4, nil), unique("group")
		config := groupConfiguration()
		config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
		fill(name, 0, 100)
		one := join(config, group, name)
		share(4, one)
		read(0, 100, one)
		two := join(config, group, name)
		share(2, one, two)
		fill(name, 100, 200)
		read(100, 200, one, two)
		one.leave()
		share(4, two)
		fill(name, 200, 240)
		read(200, 240, two)
		two.leave()
		fill(name, 240, 248)
		three := join(config, group, name)
		read(240, 248, three)
		require(len(three.values) == 8, strategy.Name(), " goes on where it stopped: ", three.values)
		three.leave()
	}
}

// A member with a name of its own comes back within its session: nobody's partitions move. Taken out by an administrator, it is gone.
func staticMembers([]string) {
	name, group := topic("static", 4, nil), unique("static")
	named := func(instance string) *sarama.Config {
		config := groupConfiguration()
		config.Consumer.Group.InstanceId = instance
		return config
	}
	one, two := join(named("one"), group, name), join(named("two"), group, name)
	share(2, one, two)
	_, before := one.state()
	two.leave()
	two = join(named("two"), group, name)
	share(2, two)
	_, after := one.state()
	require(before == after, "the other's partitions moved")
	two.leave()
	admin := administrator()
	defer admin.Close()
	described := must(admin.DescribeConsumerGroups([]string{group}))[0]
	require(described.State == "Stable" && len(described.Members) == 2, described.State, " with ", len(described.Members))
	response := must(admin.RemoveMemberFromConsumerGroup(group, []string{"two"}))
	require(response.Err == sarama.ErrNoError && response.Members[0].Err == sarama.ErrNoError, response)
	share(4, one)
	one.leave()
}

// A member that dies without a word: the other has all partitions when its session has run out.
func crash([]string) {
	name, group := topic("crash", 4, nil), unique("crash")
	one := join(groupConfiguration(), group, name)
	share(4, one)
	victim := exec.Command(os.Args[0], bootstrap, "member", name, group)
	check(victim.Start())
	share(2, one)
	check(victim.Process.Kill())
	victim.Wait()
	share(4, one)
	fill(name, 0, 40)
	read(0, 40, one)
	one.leave()
}

// A member until it is killed: TOPIC GROUP.
func member(arguments []string) {
	<-join(groupConfiguration(), arguments[1], arguments[0]).done
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"
)

// A reader in a group: what it read, and committed.
type groupMember struct {
	reader *kafka.Reader
	cancel context.CancelFunc
	done   chan error

	lock   sync.Mutex
	values map[string]int
}

func (m *groupMember) times(value int) int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.values[fmt.Sprint(value)]
}

func join(group, topic string, balancer kafka.GroupBalancer) *groupMember {
	made := &groupMember{done: make(chan error, 1), values: map[string]int{}, reader: kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{bootstrap}, GroupID: group, GroupTopics: []string{topic}, GroupBalancers: []kafka.GroupBalancer{balancer},
		StartOffset: kafka.FirstOffset, MaxWait: 50 * time.Millisecond, HeartbeatInterval: 200 * time.Millisecond, SessionTimeout: 6 * time.Second,
		RebalanceTimeout: 6 * time.Second, JoinGroupBackoff: 100 * time.Millisecond})}
	var running context.Context
	running, made.cancel = context.WithCancel(background)
	go func() {
		for {
			one, err := made.reader.FetchMessage(running)
			if err != nil {
				made.done <- nil
				return
			}
			made.lock.Lock()
			made.values[string(one.Value)]++
			made.lock.Unlock()
			// A commit that meets a rebalance is refused: the record is read again, maybe by another.
			_ = made.reader.CommitMessages(running, one)
		}
	}()
	return made
}

func (m *groupMember) leave() {
	m.cancel()
	<-m.done
	check(m.reader.Close())
}

// Waits until each value from..<to was read by one of the members.
func read(from, to int, members ...*groupMember) {
	eventually(fmt.Sprint("values from ", from, " to ", to), func() bool {
		for value := from; value < to; value++ {
			times := 0
			for _, one := range members {
				times += one.times(value)
			}
			if times == 0 {
				return false
			}
		}
		return true
	})
}

func membersOf(group string) int {
	described := must(client.DescribeGroups(background, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})).Groups[0]
	check(described.Error)
	count := 0
	for _, one := range described.Members {
		if described.GroupState == "Stable" && len(one.MemberAssignments.Topics) > 0 {
			count++
		}
	}
	return count
}

func groups([]string) {
	for i, balancer := range []kafka.GroupBalancer{kafka.RangeGroupBalancer{}, kafka.RoundRobinGroupBalancer{}} {
		name, group := topic(fmt.Sprint("group-", i), 4), unique("group")
		fill(name, 0, 40)
		one := join(group, name, balancer)
		read(0, 40, one)
		two := join(group, name, balancer)
		eventually("two members share", func() bool { return membersOf(group) == 2 })
		fill(name, 40, 120)
		read(40, 120, one, two)
		one.leave()
		eventually("one has all", func() bool { return membersOf(group) == 1 })
		fill(name, 120, 160)
		read(120, 160, two)
		two.leave()
		fill(name, 160, 164)
		three := join(group, name, balancer)
		read(160, 164, three)
		require(three.times(0) == 0, "goes on where it stopped")
		three.leave()
		committed := must(client.OffsetFetch(background, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{name: {0, 1, 2, 3}}}))
		sum := int64(0)
		for _, partition := range committed.Topics[name] {
			check(partition.Error)
			sum += partition.CommittedOffset
		}
		require(sum == 164, "committed ", sum)
	}
}

func crash([]string) {
	name, group := topic("crash", 4), unique("crash")
	one := join(group, name, kafka.RangeGroupBalancer{})
	eventually("a member", func() bool { return membersOf(group) == 1 })
	victim := exec.Command(os.Args[0], bootstrap, "member", name, group)
	check(victim.Start())
	eventually("two members", func() bool { return membersOf(group) == 2 })
	check(victim.Process.Kill())
	victim.Wait()
	eventually("who survives has all", func() bool { return membersOf(group) == 1 })
	fill(name, 0, 40)
	read(0, 40, one)
	one.leave()
}

// A member until it is killed: TOPIC GROUP.
func member(arguments []string) { <-join(arguments[1], arguments[0], kafka.RangeGroupBalancer{}).done }

package fleet

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

func request(account, client string, n int) Request {
	return Request{Account: account, ClientID: client, Topic: fmt.Sprint(n)}
}

// order takes and gives back all that waits, one after another.
func order(q *queue) string {
	var all []string
	for q.waiting > 0 {
		t, _ := q.take()
		all = append(all, t.Account+t.ClientID+t.Topic)
		q.done(t)
	}
	return strings.Join(all, " ")
}

// TestTurns: who asks much waits for itself.
func TestTurns(t *testing.T) {
	q := newQueue(4)
	for n := range 3 {
		q.put(request("a", "x", n))
	}
	q.put(request("a", "y", 0))
	q.put(request("b", "z", 0))
	q.put(request("b", "z", 1))
	if got, want := order(q), "ax0 bz0 ay0 bz1 ax1 ax2"; got != want {
		t.Errorf("taken %s, want %s", got, want)
	}
	if len(q.lanes)+len(q.turns) != 0 {
		t.Errorf("%d lanes and %d turns are left", len(q.lanes), len(q.turns))
	}
}

// TestOneAtATime: a client has one request worked on, an account three quarters
// of the workers.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(4)
		for client := range 5 {
			for n := range 2 {
				q.put(request("a", fmt.Sprint(client), n))
			}
		}
		var taken []task
		for range 3 {
			k, _ := q.take()
			taken = append(taken, k)
		}
		for i, k := range taken {
			if k.ClientID != fmt.Sprint(i) || k.Topic != "0" {
				t.Errorf("request %s of client %s is taken, want the first of %d", k.Topic, k.ClientID, i)
			}
		}
		var fourth task
		got := make(chan struct{})
		go func() { fourth, _ = q.take(); close(got) }()
		synctest.Wait()
		select {
		case <-got:
			t.Fatalf("%s of the account is the fourth that is worked on", fourth.ClientID)
		default:
		}
		q.put(request("b", "z", 0))
		<-got
		if fourth.Account != "b" {
			t.Errorf("taken %+v", fourth.Request)
		}
		q.done(taken[0])
		if k, _ := q.take(); k.ClientID != "3" {
			t.Errorf("client %s is next, want 3", k.ClientID)
		}
	})
}

// TestRoom: a client, an account and all together have room for so many.
func TestRoom(t *testing.T) {
	q := newQueue(4)
	fill := func(account string, clients, each int) (n int) {
		for client := range clients {
			for range each {
				if q.put(request(account, fmt.Sprint(client), 0)) {
					n++
				}
			}
		}
		return n
	}
	if n := fill("a", 1, 20); n != maxClientWaiting {
		t.Errorf("a client has room for %d", n)
	}
	if n := fill("a", 1000, 1); n != maxAccountWaiting-maxClientWaiting {
		t.Errorf("an account has room for %d more", n)
	}
	if n := fill("b", 1000, 1) + fill("c", 1000, 1); n != maxWaiting-maxAccountWaiting {
		t.Errorf("the others have room for %d", n)
	}
	if left := q.close(); len(left) != maxWaiting || q.put(request("d", "x", 0)) {
		t.Errorf("%d were left, or there is room after the end", len(left))
	}
	if _, ok := q.take(); ok {
		t.Error("taken after the end")
	}
}

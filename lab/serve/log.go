package serve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Query is one question a server was asked.
type Query struct {
	Time   time.Time
	Source netip.AddrPort
	Via    string // "udp", "tcp" or "http"
	Name   string // of a record, with final dot; or the path of a URL
	Type   string // of a record, or the method
}

// String returns "udp 10.1.0.2:4242 A www.example.net.".
func (q Query) String() string {
	return fmt.Sprintf("%s %v %s %s", q.Via, q.Source, q.Type, q.Name)
}

// logSize bounds a query log; the oldest go first.
const logSize = 65536

// Log keeps queries. The zero value is ready; it is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	queries []Query
}

func (l *Log) add(q Query) {
	q.Time = time.Now()
	q.Source = netip.AddrPortFrom(q.Source.Addr().Unmap(), q.Source.Port())
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queries) >= logSize {
		l.queries = l.queries[logSize/2:]
	}
	l.queries = append(l.queries, q)
}

// Queries returns the log so far, oldest first.
func (l *Log) Queries() []Query {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.queries)
}

// For returns the queries for a name, with or without final dot, in any case.
func (l *Log) For(name string) []Query {
	want := strings.TrimSuffix(name, ".")
	return slices.DeleteFunc(l.Queries(), func(q Query) bool {
		return !strings.EqualFold(strings.TrimSuffix(q.Name, "."), want)
	})
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

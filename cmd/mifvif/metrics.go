package main

import (
	"maps"
	"sync"

	"mifvif/control/metrics"
	"mifvif/pvd"
	"mifvif/relay"
)

// metrics takes what one scrape tells, from what status and the caches of the
// stations are asked for too: nothing is counted for it.
func (d *daemon) metrics() metrics.Snapshot {
	out := metrics.Snapshot{Moves: d.news.moved(), Drops: d.drops()}
	for _, c := range d.resolver.Counts() {
		out.Queries = append(out.Queries, metrics.Queries{PvD: c.PvD, Rcode: c.Rcode, Count: c.Queries})
	}
	total := d.past.Carried() // before the live ones: what ends meanwhile is missed, not told twice
	flows := make(map[string]map[string]int)
	live := func(p *pvd.Domain, proto string, tx, rx uint64) {
		if flows[p.Name] == nil {
			flows[p.Name] = make(map[string]int)
		}
		flows[p.Name][proto]++
		c := total[p.Name]
		total[p.Name] = relay.Carried{Tx: c.Tx + tx, Rx: c.Rx + rx}
	}
	for _, r := range d.relay.Flows() {
		live(r.Domain, r.Flow.Proto.String(), r.TxBytes, r.RxBytes)
	}
	for _, r := range d.nat.Flows() {
		live(r.Domain, r.Flow.Proto.String(), r.TxBytes, r.RxBytes)
	}
	told := make(map[string]bool)
	for _, p := range d.current.Load().All() {
		if told[p.Name] {
			continue // a series has one value
		}
		told[p.Name] = true
		if _, carried := total[p.Name]; !carried {
			total[p.Name] = relay.Carried{}
		}
		out.PvDs = append(out.PvDs, d.gauges(p, flows[p.Name]))
	}
	for name, c := range d.carried.grown(total) {
		out.Carried = append(out.Carried, metrics.Carried{PvD: name, Tx: c.Tx, Rx: c.Rx})
	}
	return out
}

// gauges restates one domain with its live flows.
func (d *daemon) gauges(p *pvd.Domain, flows map[string]int) metrics.PvD {
	g := metrics.PvD{
		Name: p.Name, Interface: p.Interface, Up: p.State == pvd.Online || p.State == pvd.Degraded,
		Flows: map[string]int{"tcp": 0, "udp": 0, "icmp": 0},
	}
	maps.Copy(g.Flows, flows)
	if q, ok := d.scheduler.Quality(p.Key()); ok && q.RTT > 0 {
		rtt := q.RTT.Seconds()
		g.RTT, g.Loss = &rtt, &q.Loss
	}
	return g
}

// carried keeps counters from becoming smaller: a flow that ends between two looks
// is in neither, and must not be taken back. Safe for concurrent use.
type carried struct {
	mu   sync.Mutex
	told map[string]relay.Carried
}

// grown returns now, nowhere less than what was told before. What is not in now is
// forgotten.
func (c *carried) grown(now map[string]relay.Carried) map[string]relay.Carried {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]relay.Carried, len(now))
	for name, n := range now {
		was := c.told[name]
		out[name] = relay.Carried{Tx: max(n.Tx, was.Tx), Rx: max(n.Rx, was.Rx)}
	}
	c.told = out
	return out
}

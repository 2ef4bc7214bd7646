package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// collector implements prometheus.Collector over snapshots.
type collector struct {
	take                         func() Snapshot
	up, flows, tx, rx, rtt, loss *prometheus.Desc
	moves, queries, drops        *prometheus.Desc
}

func newCollector(take func() Snapshot) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("mifvif_"+name, help, labels, nil)
	}
	return &collector{
		take:    take,
		up:      desc("pvd_up", "Whether new flows are put on the domain.", "pvd", "interface"),
		flows:   desc("flows", "Live flows by domain and protocol.", "pvd", "proto"),
		tx:      desc("tx_bytes_total", "Bytes that apps have sent over the domain.", "pvd"),
		rx:      desc("rx_bytes_total", "Bytes that apps have received over the domain.", "pvd"),
		rtt:     desc("pvd_rtt_seconds", "Round trip over the domain, as flows show it.", "pvd"),
		loss:    desc("pvd_loss_ratio", "Part of the packets that the domain loses, as flows show it.", "pvd"),
		moves:   desc("flow_moves_total", "Flows that left their domain for another, by reason.", "reason"),
		queries: desc("dns_queries_total", "Answers that apps got from the resolver, by the domain that was asked and response code.", "pvd", "rcode"),
		drops:   desc("drops_total", "What was not carried, by reason.", "reason"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.flows, c.tx, c.rx, c.rtt, c.loss, c.moves, c.queries, c.drops} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, text(labels)...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), text(labels)...)
	}
	s := c.take()
	for _, p := range s.PvDs {
		up := 0.0
		if p.Up {
			up = 1
		}
		gauge(c.up, up, p.Name, p.Interface)
		for proto, n := range p.Flows {
			gauge(c.flows, float64(n), p.Name, proto)
		}
		if p.RTT != nil {
			gauge(c.rtt, *p.RTT, p.Name)
		}
		if p.Loss != nil {
			gauge(c.loss, *p.Loss, p.Name)
		}
	}
	for _, p := range s.Carried {
		count(c.tx, p.Tx, p.PvD)
		count(c.rx, p.Rx, p.PvD)
	}
	for _, q := range s.Queries {
		count(c.queries, q.Count, q.PvD, q.Rcode)
	}
	for reason, n := range s.Moves {
		count(c.moves, n, reason)
	}
	for reason, n := range s.Drops {
		count(c.drops, n, reason)
	}
}

// text makes UTF-8 of labels: names come from networks, and the library takes no
// other.
func text(labels []string) []string {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
	}
	return labels
}

// Package metrics shows what the daemon knows of itself to Prometheus.
//
// It receives a function that takes a Snapshot and hands on an http.Handler;
// nothing is counted here, and nothing is kept between two scrapes. It must not
// know where the figures come from.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Bounds of scraping: a scrape reads every live flow once.
const (
	maxScrapes = 4
	within     = 10 * time.Second
)

// Snapshot is what one scrape tells. Counters must not become smaller from one to
// the next.
type Snapshot struct {
	PvDs    []PvD
	Carried []Carried
	Queries []Queries
	Moves   map[string]uint64 // by reason
	Drops   map[string]uint64 // by reason
}

// PvD is one domain as it is now.
type PvD struct {
	Name, Interface string
	Up              bool           // it gets new flows
	Flows           map[string]int // live ones by protocol
	RTT             *float64       // seconds, nil: not known
	Loss            *float64       // 0 to 1, nil: not known
}

// Carried is what flows have carried over one domain since the daemon's start,
// those that have ended and those of domains that are gone included.
type Carried struct {
	PvD    string
	Tx, Rx uint64 // bytes
}

// Queries is how many answers with one rcode apps got from one domain, "" for
// answers of the house itself.
type Queries struct {
	PvD, Rcode string
	Count      uint64
}

// Handler serves what take returns in the formats of Prometheus. take is called
// once for each scrape, and must be safe for concurrent use.
func Handler(take func() Snapshot) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(take))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, Timeout: within, ErrorHandling: promhttp.HTTPErrorOnError,
	})
}

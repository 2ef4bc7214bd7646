package dns

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"sync"

	"mifvif/pvd"
)

// Limits used where the configuration gives none.
const (
	DefaultMaxQueries = 1024
	DefaultMaxConns   = 256
	DefaultPerSource  = 0.66
)

// Config holds what a Server asks and its limits.
type Config struct {
	Chooser Chooser
	Dialer  Dialer
	// Families reports for which families a domain is usable now. Address
	// records of a family that none carries are withheld, so that apps do not
	// try what would be refused. nil: both.
	Families func() (v4, v6 bool)
	// Learned is called before an answer with addresses is handed to the app,
	// from many goroutines; it must not block. It returns the addresses to give
	// the app instead, one for each: usually the same slice; nil if the app must
	// not have the answer. A nil Learned: nobody wants to know.
	Learned func(Learned) []netip.Addr
	// AliasName returns the name that an alias was given for. nil: there are none.
	AliasName func(netip.Addr) (string, bool)
	// Found64 is told the NAT64 prefixes that a domain's own resolvers show (RFC
	// 7050), from one goroutine of each domain; none may be found. nil: nobody
	// looks for them.
	Found64 func(pvd.Key, []netip.Prefix)
	// Designated is told what the resolvers are that a domain only names (RFC 9463
	// 3.1.9), from one goroutine of each domain; none may be found. nil: nobody looks.
	Designated func(pvd.Key, []pvd.Resolver)
	// Roots vouch for the names of encrypted resolvers; nil: the system's.
	Roots *x509.CertPool
	// Multicast opens sockets for multicast DNS. nil: nobody's neighbours are asked.
	Multicast MulticastFunc
	// Sort orders destinations by a domain's own selection table. nil: nobody has one.
	Sort SortFunc
	// MaxQueries bounds queries in flight; one more is dropped and counted, or
	// answered SERVFAIL on a connection. 0: DefaultMaxQueries.
	MaxQueries int
	// MaxConns bounds clients' TCP connections. 0: DefaultMaxConns.
	MaxConns int
	// PerSource is the share of MaxQueries and MaxConns one client address (a
	// /64 in IPv6) may hold, above 0 up to 1. 0: DefaultPerSource.
	PerSource float64
}

// Server answers the queries sent to the resolver's address. Make one with New
// and start it with Run; all methods are safe for concurrent use.
type Server struct {
	cfg       Config
	log       *slog.Logger
	queries   *admission
	conns     *admission
	instances *instances
	stats     stats
	quicks    quicks
	errands   sync.WaitGroup // questions of our own
}

// New checks cfg and allocates; it starts nothing.
func New(cfg Config, log *slog.Logger) (*Server, error) {
	if cfg.Chooser == nil || cfg.Dialer == nil {
		return nil, errors.New("dns server needs a chooser and a dialer")
	}
	if cfg.MaxQueries == 0 {
		cfg.MaxQueries = DefaultMaxQueries
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	if cfg.PerSource == 0 {
		cfg.PerSource = DefaultPerSource
	}
	if cfg.MaxQueries < 1 || cfg.MaxConns < 1 || cfg.PerSource <= 0 || cfg.PerSource > 1 {
		return nil, errors.New("dns limits must be at least 1 and the share of a source above 0 up to 1")
	}
	return &Server{
		cfg: cfg, log: log,
		queries:   newAdmission(cfg.MaxQueries, cfg.PerSource),
		conns:     newAdmission(cfg.MaxConns, cfg.PerSource),
		instances: newInstances(),
		stats:     stats{counts: make(map[countKey]uint64)},
	}, nil
}

// Run lets queries in until ctx ends, and returns when every one of them is
// finished. Before and after Run queries are dropped.
func (s *Server) Run(ctx context.Context) error {
	s.queries.open(ctx)
	s.conns.open(ctx)
	<-ctx.Done()
	s.conns.shut()
	s.queries.shut()
	s.instances.end()
	s.errands.Wait()
	return nil
}

// Publish tells which domain instances live. What is known of any other is
// forgotten and the queries under way in it go on to their next domain.
func (s *Server) Publish(set *pvd.Set) {
	s.instances.keep(set)
	for _, d := range set.All() {
		if s.cfg.Found64 != nil && seekable64(d) {
			s.instances.seek(d, prefixes64, func(in *instance) { s.errands.Go(func() { s.seek64(in) }) })
		}
		if s.cfg.Designated != nil && designates(d) {
			s.instances.seek(d, resolversNamed, func(in *instance) { s.errands.Go(func() { s.designate(in) }) })
		}
	}
}

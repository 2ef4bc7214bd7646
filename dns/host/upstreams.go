package host

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
)

// Upstreams are the resolvers the host itself knew before we came, without
// those on the host (a stub would ask us again) and without ours.
type Upstreams struct {
	// General are those of the resolver file and of systemd-resolved's global
	// settings: whose network they belong to is not said.
	General []netip.Addr
	// Links are those systemd-resolved has for an interface, by its index.
	Links map[int][]netip.Addr
}

// Equal reports whether both name the same servers in the same order.
func (u Upstreams) Equal(v Upstreams) bool {
	return slices.Equal(u.General, v.General) && maps.EqualFunc(u.Links, v.Links, slices.Equal)
}

// Discover returns what the host knows now. Call it before Point, so that the
// first decisions have resolvers; later changes come through Config.Changed.
func Discover(ctx context.Context, cfg Config, log *slog.Logger) Upstreams {
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, busLimit)
	defer cancel()
	r, err := dialResolved(ctx, cfg.Bus)
	if err != nil {
		log.Debug("systemd-resolved is not asked for servers", "error", err)
		return discover(ctx, cfg, nil, log)
	}
	defer r.close()
	return discover(ctx, cfg, r, log)
}

// discover asks the file and, where it runs, systemd-resolved.
func discover(ctx context.Context, cfg Config, r *resolved, log *slog.Logger) Upstreams {
	u := Upstreams{General: usable(OriginalServers(cfg, log), cfg.Servers)}
	if r == nil {
		return u
	}
	links, err := r.allServers(ctx)
	if err != nil {
		log.Debug("systemd-resolved does not name its servers", "error", err)
		return u
	}
	u.Links = make(map[int][]netip.Addr)
	for ifindex, servers := range links {
		switch servers = usable(servers, cfg.Servers); {
		case ifindex == 0:
			u.General = union(u.General, servers)
		case len(servers) > 0 && ifindex != cfg.Ifindex:
			u.Links[ifindex] = servers
		}
	}
	return u
}

// OriginalServers returns the servers that the resolver file named before it
// was changed by us, or names now if it was not.
func OriginalServers(cfg Config, log *slog.Logger) []netip.Addr {
	cfg = cfg.withDefaults()
	f := &file{path: cfg.Path, record: cfg.Record, servers: cfg.Servers, log: log}
	o, err := f.before()
	if err != nil {
		log.Debug("the host's resolver file cannot be read", "error", err)
		return nil
	}
	return ParseResolvConf(o.Content)
}

// LinkServers returns what systemd-resolved has for one interface; an error
// where it does not run in our network namespace. bus is as in Config.
func LinkServers(ctx context.Context, bus string, ifindex int) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, busLimit)
	defer cancel()
	r, err := dialResolved(ctx, bus)
	if err != nil {
		return nil, err
	}
	defer r.close()
	servers, err := r.linkServers(ctx, ifindex)
	return usable(servers, nil), err
}

// usable leaves out servers on this host and ours.
func usable(servers, ours []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(servers, func(a netip.Addr) bool {
		return a.IsLoopback() || a.IsUnspecified() || slices.Contains(ours, a)
	})
}

func union(a, b []netip.Addr) []netip.Addr {
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}

package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// Mode is how the host's resolver is pointed at us (contract: dns.manage_host).
type Mode string

// The words of Mode.
const (
	Auto       Mode = "auto"       // whatever the host uses
	Resolved   Mode = "resolved"   // systemd-resolved over D-Bus
	Resolvconf Mode = "resolvconf" // the resolvconf or openresolv program
	File       Mode = "file"       // the file itself
	None       Mode = "none"       // leave the host alone
)

// DefaultPath is the file that C libraries read.
const DefaultPath = "/etc/resolv.conf"

// busLimit is how long systemd-resolved may take.
const busLimit = 5 * time.Second

var errForeignFile = errors.New("the resolver file is shared with another network namespace (manage_host: file changes it all the same)")

// Config says what to point where.
type Config struct {
	Mode    Mode         // "": Auto
	Servers []netip.Addr // ours, in the order they are to be asked
	// Interface and Ifindex are those of the interface our servers are behind.
	Interface string
	Ifindex   int
	// Record is the file that holds what undoes the change, one per network
	// namespace, on storage that survives the process.
	Record string
	Path   string // of the resolv.conf; "": DefaultPath
	Bus    string // D-Bus address; "": the system bus
	// Changed is called by Run, from its goroutine, when the host's own
	// knowledge of resolvers changed. nil: nobody wants to know.
	Changed func(Upstreams)
}

func (c Config) withDefaults() Config {
	if c.Path == "" {
		c.Path = DefaultPath
	}
	if c.Mode == "" {
		c.Mode = Auto
	}
	return c
}

// Pointed is a host whose resolver was pointed at us. Run watches over it,
// Restore ends it.
type Pointed struct {
	cfg      Config
	log      *slog.Logger
	resolved *resolved // nil where it does not run
	viaBus   bool
	file     *file    // nil where the file is left alone
	program  *program // nil where none was told
	limit    limiter
}

// Point points the host's resolver at cfg.Servers. In mode auto it takes what
// the host uses; where that cannot be done it says so in the log and leaves the
// host as it is. In any other mode that is an error. What an earlier process
// left behind is undone first. The caller calls Restore in the end.
func Point(ctx context.Context, cfg Config, log *slog.Logger) (*Pointed, error) {
	cfg = cfg.withDefaults()
	p := &Pointed{cfg: cfg, log: log}
	if len(cfg.Servers) == 0 || cfg.Record == "" {
		return nil, errors.New("point the host's resolver: no server or no undo record given")
	}
	ctx, cancel := context.WithTimeout(ctx, busLimit+programLimit)
	defer cancel()
	// Leftovers go first, or our own file would become the original.
	if err := Restore(ctx, cfg, log); err != nil {
		log.Warn("the host's resolver file cannot be put back as it was before the last run", "error", err)
	}
	if cfg.Mode == None {
		return p, nil
	}
	if err := p.point(ctx); err != nil {
		if cfg.Mode != Auto {
			err = errors.Join(err, p.Restore(context.WithoutCancel(ctx)))
			return nil, fmt.Errorf("point the host's resolver (manage_host: %s): %w", cfg.Mode, err)
		}
		log.Warn("the host's resolver cannot be pointed at mifvif: apps go on asking whom they asked", "error", err)
	}
	return p, nil
}

// point does what the mode says.
func (p *Pointed) point(ctx context.Context) error {
	switch p.cfg.Mode {
	case Auto:
		return p.pointAuto(ctx)
	case Resolved:
		return p.pointResolved(ctx)
	case Resolvconf:
		return p.pointProgram(ctx)
	case File:
		return p.pointFile()
	}
	return fmt.Errorf("unknown mode %q", p.cfg.Mode)
}

// pointAuto tells systemd-resolved if it runs. That is all where the file sends
// everything to its stub; else the file must be pointed too.
func (p *Pointed) pointAuto(ctx context.Context) error {
	busErr := p.pointResolved(ctx)
	if busErr != nil {
		p.log.Debug("systemd-resolved is not used", "error", busErr)
	}
	now, err := snapshot(p.cfg.Path)
	if err != nil {
		return err
	}
	if busErr == nil && isStub(now.Content) {
		return nil
	}
	if foreign(p.cfg.Path) {
		return errForeignFile
	}
	if manages(now) {
		if err := p.pointProgram(ctx); err == nil {
			return nil
		}
	}
	return p.pointFile()
}

func (p *Pointed) pointResolved(ctx context.Context) error {
	r, err := dialResolved(ctx, p.cfg.Bus)
	if err != nil {
		return err
	}
	p.resolved = r
	if err := r.point(ctx, p.cfg.Ifindex, p.cfg.Servers); err != nil {
		return err
	}
	p.viaBus = true
	return nil
}

func (p *Pointed) pointFile() error {
	f := &file{path: p.cfg.Path, record: p.cfg.Record, servers: p.cfg.Servers, log: p.log}
	if err := f.point(); err != nil {
		return err
	}
	p.file = f
	return nil
}

// pointProgram tells the resolvconf program and looks whether it listened.
func (p *Pointed) pointProgram(ctx context.Context) error {
	exe := findProgram(p.cfg.Interface)
	if exe == nil {
		return errNotResolvconf
	}
	f := &file{path: p.cfg.Path, record: p.cfg.Record, servers: p.cfg.Servers, log: p.log}
	o, err := f.before()
	if err != nil {
		return err
	}
	r := &record{Path: p.cfg.Path, Servers: p.cfg.Servers, Original: o, Key: exe.key}
	if err := r.save(p.cfg.Record); err != nil {
		return err
	}
	if err := exe.add(ctx, p.cfg.Servers); err != nil {
		return err
	}
	if ok, err := f.pointed(); err != nil || !ok {
		_ = exe.remove(ctx)
		return errors.Join(errNotResolvconf, err)
	}
	p.program = exe
	return nil
}

// How returns the ways that were taken, joined by "+", "none" if the host was
// left alone.
func (p *Pointed) How() string {
	var ways []string
	if p.viaBus {
		ways = append(ways, string(Resolved))
	}
	if p.program != nil {
		ways = append(ways, string(Resolvconf))
	}
	if p.file != nil {
		ways = append(ways, string(File))
	}
	if len(ways) == 0 {
		return string(None)
	}
	return strings.Join(ways, "+")
}

// Restore puts back what was there before; call it when Run has returned. It
// may be called again.
func (p *Pointed) Restore(ctx context.Context) error {
	var errs []error
	if p.resolved != nil {
		if p.viaBus {
			bounded, cancel := context.WithTimeout(ctx, busLimit)
			errs = append(errs, p.resolved.revert(bounded, p.cfg.Ifindex))
			cancel()
		}
		p.resolved.close()
		p.resolved, p.viaBus = nil, false
	}
	if p.cfg.Record != "" && p.cfg.Mode != None && p.cfg.Mode != Resolved {
		errs = append(errs, Restore(ctx, p.cfg, p.log))
	}
	p.file, p.program = nil, nil
	return errors.Join(errs...)
}

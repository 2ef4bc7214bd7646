package lease

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// Directory is where systemd-networkd keeps its leases, a file for each interface
// by its index.
const Directory = "/run/systemd/netif/leases"

// every is how often the files are looked at: networkd replaces them by renaming.
const every = 5 * time.Second

// maxLinks bounds the links whose files are read.
const maxLinks = 1024

// Config is what a Source needs.
type Config struct {
	// Deliver takes every report, from the goroutine of Run; it must not block.
	Deliver   func(pvd.Report)
	Directory string // "": Directory
}

// Source follows the leases of systemd-networkd. Make one with New.
type Source struct {
	config Config
	log    *slog.Logger
	wake   chan struct{} // 1: full means that the files are to be read already

	mu    sync.Mutex
	links []netwatch.Link
}

// New returns a Source that follows no link yet.
func New(config Config, log *slog.Logger) *Source {
	if config.Directory == "" {
		config.Directory = Directory
	}
	return &Source{config: config, log: log, wake: make(chan struct{}, 1)}
}

// Watch replaces the links whose leases are followed. Safe for concurrent use.
func (s *Source) Watch(links ...netwatch.Link) {
	s.mu.Lock()
	s.links = links[:min(len(links), maxLinks)]
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run reads the files until ctx ends. Where networkd does not run there are none.
func (s *Source) Run(ctx context.Context) error {
	said := make(map[int][]byte) // content by interface
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-tick.C:
		}
		s.read(said)
	}
}

// read delivers what has changed since said.
func (s *Source) read(said map[int][]byte) {
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	now := time.Now()
	there := make(map[int]bool, len(links))
	for _, l := range links {
		there[l.Index] = true
		b, err := readFile(filepath.Join(s.config.Directory, strconv.Itoa(l.Index)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.withdraw(said, l.Index, now)
			continue
		case err != nil || bytes.Equal(b, said[l.Index]):
			continue
		}
		r, err := ParseLease(b, l.Index, now)
		if err != nil {
			s.log.Debug("a lease of systemd-networkd cannot be read", "interface", l.Name, "error", err)
			s.withdraw(said, l.Index, now)
			continue
		}
		said[l.Index] = b
		s.config.Deliver(r)
	}
	for index := range said {
		if !there[index] {
			s.withdraw(said, index, now)
		}
	}
}

// withdraw takes back what was said of an interface, if anything was.
func (s *Source) withdraw(said map[int][]byte, index int, now time.Time) {
	if said[index] == nil {
		return
	}
	delete(said, index)
	s.config.Deliver(pvd.Report{Origin: pvd.FromDHCPv4, Ifindex: index, Received: now, Until: now})
}

// readFile reads as much of a file as a state file may have, and one byte more.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

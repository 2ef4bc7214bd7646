package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

// profiled measures a turn while the daemon writes a profile of its processor
// time, a file for each row and way.
func (s *system) profiled(ctx context.Context, row Row) (sample, error) {
	name := row.ID
	if s.name == Offload {
		name += "-" + Offload
	}
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { failed <- s.profile(ctx, filepath.Join(s.profiles, name+".pprof")) }()
	m, err := row.measure(ctx, s)
	return m, errors.Join(err, <-failed)
}

// profile writes two seconds of the daemon's processor time.
func (s *system) profile(ctx context.Context, path string) error {
	socket := fmt.Sprintf("/proc/%d/root%s", s.daemon.Pid(), s.daemon.Socket())
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://mifvif/debug/pprof/profile?seconds=2", nil)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s", response.Status)
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	_, err = io.Copy(file, response.Body)
	return errors.Join(err, file.Close())
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"mifvif/lab"
)

// The systems that are measured.
const (
	Direct = "direct" // the kernel, by its main table
	Policy = "policy" // the kernel, by a rule and with masquerading
	Mif0   = "mif0"   // mifvif, where TCP ends and begins anew
	// Offload is mifvif that has the kernel translate TCP.
	Offload = "offload"
)

// systems returns all of them, in the order of their turns.
func systems() []string { return []string{Direct, Policy, Mif0, Offload} }

const (
	iperfPort   = 5201
	policyTable = 100
	withLAN     = "router: {lans: [" + lab.LANLink + "]}\n"
)

// system is one host in a world of its own.
type system struct {
	name   string
	world  *lab.Common
	via    string      // the network that carries everything
	daemon *lab.Daemon // of Mif0 and Offload only
	// profiles is the directory for the daemon's profiles, "" for none.
	profiles string
}

// newSystem builds the world and starts what belongs to it.
func newSystem(ctx context.Context, name string, o Options, layoutName, congestion string) (s *system, err error) {
	layout, via := layoutOf(layoutName, congestion)
	layout.LANRouted = layout.LAN && name == Direct
	world, err := lab.NewCommon(layout, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("build the world of %s: %w", name, err)
	}
	s = &system{name: name, world: world, via: via}
	defer func() {
		if err != nil {
			err = errors.Join(err, world.Close())
		}
	}()
	if _, err := world.Core.Start(exec.Command("iperf3", "-s", "-p", strconv.Itoa(iperfPort))); err != nil {
		return nil, fmt.Errorf("start iperf3 (apt-get install iperf3): %w", err)
	}
	switch name {
	case Direct:
		err = s.direct()
	case Policy:
		err = s.policy()
	case Mif0, Offload:
		config := s.onlyVia() + "defaults: {path: " + pathOf(name) + "}\n"
		if s.profiles = o.Profiles; s.profiles != "" {
			config += "control: {profile: true}\n"
		}
		s.daemon, err = world.Host.StartDaemon(ctx, o.Binary, config)
	}
	time.Sleep(200 * time.Millisecond) // iperf3 says nothing when it is ready
	return s, err
}

// pathOf says what becomes of TCP in a system of mifvif's.
func pathOf(name string) string {
	if name == Offload {
		return "translate"
	}
	return "terminate"
}

// onlyVia keeps the daemon on one uplink, as the kernel's ways are.
func (s *system) onlyVia() string {
	config := "rules:\n  - {name: bench, require: [" + s.world.Network(s.via).Link + "]}\n"
	if s.world.Client != nil {
		config += withLAN
	}
	return config
}

// direct leads to the public server where the main table's default route, which is
// n1's, does not.
func (s *system) direct() error {
	if s.via == "n1" {
		return nil
	}
	n := s.world.Network(s.via)
	return s.world.Host.AddRoute(lab.Route{To: netip.PrefixFrom(lab.Public4(), 32), Via: n.Gateway4(), Dev: n.Link}) //nolint:wrapcheck // says what and where
}

// policy makes the host a plain multi-uplink router.
func (s *system) policy() error {
	host, n := s.world.Host, s.world.Network(s.via)
	if err := host.Forward(); err != nil {
		return err //nolint:wrapcheck // says what and where
	}
	if err := host.AddRoute(lab.Route{To: netip.MustParsePrefix("0.0.0.0/0"), Via: n.Gateway4(), Dev: n.Link, Table: policyTable}); err != nil {
		return err //nolint:wrapcheck // says what and where
	}
	if err := host.AddRule(1000, netip.PrefixFrom(lab.Public4(), 32), policyTable); err != nil {
		return err //nolint:wrapcheck // says what and where
	}
	return host.Masquerade(n.Link) //nolint:wrapcheck // says what and where
}

func (s *system) close() error {
	var err error
	if s.daemon != nil {
		err = s.daemon.Stop(context.Background())
	}
	return errors.Join(err, s.world.Close())
}

// tick is the unit of the daemon's processor time, seconds.
const tick = 0.01

// cpu returns the seconds of user and system time the daemon has used.
func (s *system) cpu() (float64, error) {
	if s.daemon == nil {
		return 0, nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.daemon.Pid()))
	if err != nil {
		return 0, fmt.Errorf("read the daemon's processor time: %w", err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // behind the name, which may hold blanks
	fields := strings.Fields(rest)
	const user, kernel = 11, 12
	if len(fields) <= kernel {
		return 0, errors.New("read the daemon's processor time: too few fields")
	}
	u, uerr := strconv.ParseFloat(fields[user], 64)
	k, kerr := strconv.ParseFloat(fields[kernel], 64)
	return (u + k) * tick, errors.Join(uerr, kerr)
}

// rss returns the daemon's resident memory in bytes.
func (s *system) rss() (float64, error) {
	if s.daemon == nil {
		return 0, nil
	}
	n, err := s.daemon.RSS()
	return float64(n), err //nolint:wrapcheck // says what and where
}

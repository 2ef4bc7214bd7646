package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"time"

	"mifvif/lab"
)

// exceptions is sixOnlyConfig with ports that say what is special.
const exceptions = `
pvds:
  - {name: n1, interface: e1, dns: {servers: ["2001:db8:1::53"]}}
  - {name: n2, interface: e2, dns: {servers: [10.2.0.53]}}
rules:
  - {name: second, match: {port: 7001}, require: [n2]}
  - {name: several, match: {port: 7002}, prefer: [n1, n2], mptcp: auto}
  - {name: first, prefer: [n1, n2]}
`

const (
	bySecond, severalAtOnce, ofCommand uint16 = 7001, 7002, 7003

	standardMTU, smallMTU = 1500, 1400
)

// smallerSecond has n2 with a smaller MTU than mif0's, and n1 with a NAT64.
func smallerSecond(e *Env) error {
	behind := netip.MustParseAddr("64:ff9b::cb00:7150") // 203.0.113.80
	return errors.Join(
		e.Host.SetMTU("e2", smallMTU),
		e.Node("n1").AddAddress("lan", netip.PrefixFrom(behind, 128)),
		e.AddRecords("n1", "ipv4only.arpa. AAAA 64:ff9b::c000:aa"))
}

func terminatedInstead(ctx context.Context, e *Env) error {
	return steps(
		func() error { return e.smallThenNot(ctx) },
		func() error { return e.goes(ctx, "offloaded", "n1", public6(lab.PortEcho)) },
		func() error {
			return within(ctx, func() error { return e.goes(ctx, "terminated", "n1", public4(lab.PortEcho)) }) // by NAT64
		},
		func() error { return e.goes(ctx, "terminated", "n1", public6(severalAtOnce)) },
		func() error { return e.commandTerminated(ctx) },
	)
}

// smallThenNot has n2's link grow to what mif0 has and shrink again: a flow that no
// longer fits is ended.
func (e *Env) smallThenNot(ctx context.Context) error {
	for _, dst := range bothFamilies(bySecond) {
		if err := e.goes(ctx, "terminated", "n2", dst); err != nil {
			return fmt.Errorf("by a small link: %w", err)
		}
	}
	if err := e.Host.SetMTU("e2", standardMTU); err != nil {
		return err
	}
	var open []*Talk
	defer func() { closeAll(open) }()
	for _, dst := range bothFamilies(bySecond) {
		err := within(ctx, func() error {
			t, err := e.talkOn(ctx, "offloaded", "n2", dst)
			if err == nil {
				open = append(open, t)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("by a link as large as mif0: %w", err)
		}
	}
	if err := e.Host.SetMTU("e2", smallMTU); err != nil {
		return err
	}
	for _, t := range open {
		if err := t.reset(time.Second); err != nil {
			return fmt.Errorf("the link has become small: %w", err)
		}
	}
	for _, dst := range bothFamilies(bySecond) {
		if err := e.goes(ctx, "terminated", "n2", dst); err != nil {
			return fmt.Errorf("by a link that has become small: %w", err)
		}
	}
	return nil
}

// commandTerminated has a command for n1 hold a connection.
func (e *Env) commandTerminated(ctx context.Context) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	shell := fmt.Sprintf("exec 3<>/dev/tcp/%v/%d; read -u 3; sleep 60", lab.Public6(), ofCommand)
	cmd := exec.Command(e.binary, "exec", "--pvd", "n1", "--", "bash", "-c", shell)
	cmd.Env = append(os.Environ(), "MIFVIF_SOCKET="+e.Daemon.Socket())
	process, err := e.Host.Start(cmd)
	if err != nil {
		return err
	}
	defer process.Kill()
	return within(ctx, func() error {
		var all []listing
		if err := e.JSON(ctx, &all, "flows"); err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(l listing) bool { return l.Dst == public6(ofCommand) })
		if i < 0 || all[i].Path != "terminated" || all[i].Interface != "e1" {
			return fmt.Errorf("the command's flow is none of %+v, or not terminated", all)
		}
		return nil
	})
}

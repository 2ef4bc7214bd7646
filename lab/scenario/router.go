package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"mifvif/lab"
)

const lanRule = "router: {lans: [" + lab.LANLink + "]}\n"

// router has a client behind the host use both networks by rule; the flows are
// listed with the client's own address, and without mifvif nothing of the
// client's leaves.
func router(ctx context.Context, e *Env) error {
	e.App = e.Client
	for _, c := range []struct {
		port    uint16
		network string
	}{{onlyE1, "n1"}, {onlyE2, "n2"}} {
		for _, dst := range bothFamilies(c.port) {
			if err := e.Carried(ctx, c.network, dst, lab.SocketOptions{}); err != nil {
				return err
			}
		}
	}
	if err := pingAndTrace(ctx, e); err != nil {
		return err
	}
	if err := e.listedAsClient(ctx); err != nil {
		return err
	}
	if err := e.neighbours(ctx); err != nil {
		return err
	}
	if e.Daemon == nil {
		return errNoDaemon
	}
	e.Daemon.Kill()
	t, err := e.Talk(ctx, public4(lab.PortEcho), lab.SocketOptions{})
	if err == nil {
		t.Close()
		return errors.New("without mifvif the client still reaches the Internet")
	}
	return e.StartDaemon(ctx)
}

// listedAsClient holds a flow of the client's open and looks for it.
func (e *Env) listedAsClient(ctx context.Context) error {
	for _, dst := range bothFamilies(onlyE1) {
		t, err := e.Talk(ctx, dst, lab.SocketOptions{})
		if err != nil {
			return err
		}
		defer t.Close()
	}
	type listed struct {
		Src netip.AddrPort `json:"src"`
	}
	var flows []listed
	if err := e.JSON(ctx, &flows, "flows"); err != nil {
		return err
	}
	for _, client := range []netip.Addr{lab.Client4(), lab.Client6()} {
		if !slices.ContainsFunc(flows, func(f listed) bool { return f.Src.Addr() == client }) {
			return fmt.Errorf("no flow is listed as %v's: %v", client, flows)
		}
	}
	return nil
}

// neighbours asks a host on an uplink's own link, which knows nothing of the
// client's address.
func (e *Env) neighbours(ctx context.Context) error {
	n := e.Network("n2")
	for _, addr := range []netip.Addr{n.Resolver4(), n.Resolver6()} {
		c, err := e.Client.DialTCP(ctx, netip.AddrPortFrom(addr, 53), lab.SocketOptions{})
		if err != nil {
			return fmt.Errorf("a neighbour on an uplink's link: %w", err)
		}
		c.Close()
	}
	return nil
}

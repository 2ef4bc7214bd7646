package main

import (
	"context"
	"net/netip"

	"mifvif/pvd"
	"mifvif/relay"
	"mifvif/stack"
	"mifvif/uplinks"
)

// dialer is uplinks.Set as the relay knows it: the stations do not know each
// other's types.
type dialer struct{ *uplinks.Set }

func (d dialer) DialTCP(ctx context.Context, on *pvd.Domain, src netip.Addr, dst netip.AddrPort, tos uint8) (stack.Uplink, error) {
	conn, err := d.Set.DialTCP(ctx, on, src, dst, tos)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what and where
	}
	return conn, nil
}

func (d dialer) DialMultipath(ctx context.Context, on *pvd.Domain, src netip.Addr, dst netip.AddrPort, tos uint8) (relay.Multipath, error) {
	conn, err := d.Set.DialMultipath(ctx, on, src, dst, tos)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what and where
	}
	return conn, nil
}

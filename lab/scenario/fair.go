package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"mifvif/lab"
)

// fairChecks show that nobody takes what is for all.
func fairChecks() []Scenario {
	return []Scenario{
		{ID: "fair", Title: "one user who takes all flows there may be gets a share of them, and others get the rest", Config: fewFlows, Run: fairShares},
	}
}

const (
	fewFlows  = byPort + "limits: {tcp_flows: 60, udp_flows: 60, per_source: 0.5}\n"
	fairShare = 30
)

func fairShares(ctx context.Context, e *Env) error {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for {
		short, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
		c, err := e.App.DialTCP(short, public4(lab.PortEcho), lab.SocketOptions{})
		cancel()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return err
		}
		if conns = append(conns, c); len(conns) > fairShare {
			return fmt.Errorf("one user has more than %d of 60 flows", fairShare)
		}
	}
	if len(conns) != fairShare {
		return fmt.Errorf("one user has %d of 60 flows, want %d", len(conns), fairShare)
	}
	for range 3 {
		if _, err := e.as(ctx, 4711, public4(lab.PortEcho)); err != nil {
			return fmt.Errorf("another user: %w", err)
		}
	}
	sockets, err := e.sockets(lab.SocketOptions{}, 40, "n1", public4(lab.PortEchoFirst+1))
	if err != nil {
		return err
	}
	defer closeSockets(sockets)
	var status struct {
		Flows struct {
			UDP int `json:"udp"`
		} `json:"flows"`
	}
	if err := e.JSON(ctx, &status, "status"); err != nil {
		return err
	}
	if status.Flows.UDP > fairShare {
		return fmt.Errorf("one user has %d of 60 bindings, want at most %d", status.Flows.UDP, fairShare)
	}
	return nil
}

package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"mifvif/lab"
)

// recoveryChecks show what becomes of flows when a better network is back.
func recoveryChecks() []Scenario {
	return []Scenario{
		{ID: "recovery", Title: "when a better network is back flows stay, move when they are idle, or end at once, as the rule says", Config: byRecovery, Run: recovers},
	}
}

// The ports say what is to become of a flow.
const (
	portMoves, portResets, portStays uint16 = 7001, 7002, 7003

	moveDeadline = 25 * time.Second

	byRecovery = `
rules:
  - {name: moves, match: {port: [7001]}, prefer: [e1], on_recovery: move-idle, recovery_deadline: 25s}
  - {name: resets, match: {port: [7002]}, prefer: [e1], on_recovery: reset}
  - {name: stays, match: {port: [7003]}, prefer: [e1]}
`
)

func recovers(ctx context.Context, e *Env) error {
	if err := e.LinkDown("n1"); err != nil {
		return err
	}
	if err := within(ctx, func() error { return e.Carried(ctx, "n2", public4(portStays), lab.SocketOptions{}) }); err != nil {
		return err
	}
	// Who is what by its place.
	talks, err := e.talksWith(ctx, lab.SocketOptions{}, 4, "n2", public4(portMoves), public4(portMoves), public4(portResets), public4(portStays))
	if err != nil {
		return err
	}
	defer closeAll(talks)
	sockets, err := e.sockets(lab.SocketOptions{}, 4, "n2", public6(portMoves), public6(portMoves), public6(portResets), public6(portStays))
	if err != nil {
		return err
	}
	defer closeSockets(sockets)
	moved, err := e.watchMoves()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := e.LinkUp("n1"); err != nil {
		return err
	}
	busy, stays := talks[1], talks[3]
	if err := talks[2].Ends(endWithin); err != nil {
		return fmt.Errorf("to be reset: %w", err)
	}
	if err := sockets[2].by("n1"); err != nil {
		return fmt.Errorf("to be moved at once: %w", err)
	}
	idle := make(chan error, 1)
	go func() { idle <- talks[0].Ends(moveDeadline - 5*time.Second) }()
	for range 16 { // seconds; the idle are away after ten
		if err := errors.Join(busy.Say(), sockets[1].Say()); err != nil {
			return fmt.Errorf("in use, %v after the recovery: %w", time.Since(began), err)
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	if err := <-idle; err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	if err := sockets[0].by("n1"); err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	if err := busy.Ends(moveDeadline); err != nil {
		return fmt.Errorf("in use beyond the deadline: %w", err)
	}
	if after := time.Since(began); after < moveDeadline {
		return fmt.Errorf("a flow in use was ended %v after the recovery, before the deadline of %v", after, moveDeadline)
	}
	if err := within(ctx, func() error { return sockets[1].by("n1") }); err != nil {
		return fmt.Errorf("in use beyond the deadline: %w", err)
	}
	if err := errors.Join(stays.Say(), sockets[3].Say()); err != nil {
		return fmt.Errorf("to stay: %w", err)
	}
	if err := e.movesCounted(ctx); err != nil {
		return err
	}
	if got := moved(); got != 6 {
		return fmt.Errorf("mifvif watch told of %d moves to e1, want 6", got)
	}
	return nil
}

// watchMoves follows the event stream; moved ends it and returns of how many flows
// it said that they moved to e1.
func (e *Env) watchMoves() (moved func() int, err error) {
	if e.Daemon == nil {
		return nil, errNoDaemon
	}
	var said bytes.Buffer
	cmd := exec.Command(e.binary, "watch")
	cmd.Env = append(os.Environ(), "MIFVIF_SOCKET="+e.Daemon.Socket())
	cmd.Stdout = &said
	watch, err := e.Host.Start(cmd)
	if err != nil {
		return nil, err
	}
	return func() int {
		watch.Kill() // and waits, so that nobody writes any more
		n := 0
		for line := range strings.Lines(said.String()) {
			var event struct{ Type, PvD string }
			if json.Unmarshal([]byte(line), &event) == nil && event.Type == "flow.moved" && event.PvD == "e1" {
				n++
			}
		}
		return n
	}, nil
}

// by asks once and wants to be carried by a network.
func (s *Socket) by(network string) error {
	_, got, err := askOnce(s.conn, answerWithin)
	if err == nil && got != network {
		err = fmt.Errorf("the socket was carried by %s, want %s", got, network)
	}
	return err
}

// movesCounted wants the flows that were moved in the status: three of TCP, three
// of UDP.
func (e *Env) movesCounted(ctx context.Context) error {
	var status struct {
		Moves map[string]int `json:"moves"`
	}
	if err := e.JSON(ctx, &status, "status"); err != nil {
		return err
	}
	if got := status.Moves["recovery"]; got != 6 {
		return fmt.Errorf("%d moves were counted, want 6: %v", got, status.Moves)
	}
	return nil
}

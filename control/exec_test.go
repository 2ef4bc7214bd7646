package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// commandServer serves commands that say their user's byte and end with their
// client or the server.
func commandServer(t *testing.T) (*Client, func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.sock")
	h := handlers()
	h.Command = func(uid uint32, pvd string) (func(context.Context, *net.UnixConn), error) {
		if pvd == "barred" {
			return nil, Refused{errors.New("refused by policy: no")}
		}
		if uid != uint32(os.Getuid()) || pvd != "fiber" {
			return nil, errors.New("there is no such domain")
		}
		return func(ctx context.Context, conn *net.UnixConn) {
			if conn == nil {
				return // the client was sent away
			}
			defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
			words := json.NewEncoder(conn)
			_ = words.Encode(Word{PID: 7})
			var b [1]byte
			if _, err := io.ReadFull(conn, b[:]); err != nil {
				_ = words.Encode(Word{Error: "stopped"})
				return
			}
			_ = words.Encode(Word{Ended: true, Code: int(b[0])})
		}, nil
	}
	s, err := Listen(path, "", h, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return Dial(path, true), func() { cancel(); wg.Wait() }
}

func TestCommandIsTalkedWith(t *testing.T) {
	client, stop := commandServer(t)
	defer stop()
	c, err := client.Command(t.Context(), "fiber")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if w, err := c.Hear(); err != nil || w.PID != 7 {
		t.Errorf("heard %+v, %v", w, err)
	}
	if _, err := c.Conn.Write([]byte{42}); err != nil {
		t.Fatal(err)
	}
	if w, err := c.Hear(); err != nil || !w.Ended || w.Code != 42 {
		t.Errorf("heard %+v, %v", w, err)
	}
	if _, err := c.Hear(); err == nil || !strings.Contains(err.Error(), "the daemon is gone") {
		t.Errorf("after the end: %v", err)
	}
}

func TestCommandIsRefused(t *testing.T) {
	client, stop := commandServer(t)
	defer stop()
	if _, err := client.Command(t.Context(), "barred"); !errors.As(err, new(Refused)) || err.Error() != "refused by policy: no" {
		t.Errorf("by policy: %v", err)
	}
	if _, err := client.Command(t.Context(), "none"); err == nil || errors.As(err, new(Refused)) || err.Error() != "there is no such domain" {
		t.Errorf("without a domain: %v", err)
	}
	if _, err := Dial(filepath.Join(t.TempDir(), "none"), true).Command(t.Context(), "fiber"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without a daemon: %v", err)
	}
}

// TestCommandsHaveEndedWhenTheServerHas: nothing of theirs is left behind.
func TestCommandsHaveEndedWhenTheServerHas(t *testing.T) {
	client, stop := commandServer(t)
	c, err := client.Command(t.Context(), "fiber")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Hear(); err != nil {
		t.Fatal(err)
	}
	stop()
	if w, err := c.Hear(); err != nil || w.Error != "stopped" {
		t.Errorf("heard %+v, %v", w, err)
	}
}

// TestAnImpatientClientIsSentAway: what it sends before the answer would be lost.
func TestAnImpatientClientIsSentAway(t *testing.T) {
	client, stop := commandServer(t)
	defer stop()
	conn, err := net.Dial("unix", client.path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://mifvif/v1/command", strings.NewReader(`{"pvd":"fiber"}`))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := req.Write(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, b.String()+"more"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(conn); err != nil || len(got) > 0 {
		t.Errorf("heard %q, %v, want nothing", got, err)
	}
}

package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestEveryListenerHearsEachEventOnce, in order, from the moment it listens.
func TestEveryListenerHearsEachEventOnce(t *testing.T) {
	events := new(Events)
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path, "", Handlers{Events: events}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { _ = s.Run(ctx) })

	const all = 20
	enough := errors.New("enough")
	var heard [3][]string
	for i := range heard {
		running.Go(func() {
			err := Dial(path, true).Events(ctx, func(e Event) error {
				heard[i] = append(heard[i], e.Detail)
				if len(heard[i]) == all {
					return enough
				}
				return nil
			})
			if !errors.Is(err, enough) {
				t.Errorf("listener %d: %v after %d events", i, err, len(heard[i]))
			}
		})
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		events.mu.Lock()
		n := len(events.listeners)
		events.mu.Unlock()
		if n == len(heard) || time.Now().After(deadline) {
			break
		}
	}
	for i := range all {
		events.Publish(Event{Type: "pvd.changed", Detail: fmt.Sprint(i)})
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		events.mu.Lock()
		n := len(events.listeners)
		events.mu.Unlock()
		if n == 0 || time.Now().After(deadline) {
			break
		}
		events.Publish(Event{Type: "pvd.changed", Detail: "more"}) // the server notices that clients have gone
	}
	stop()
	running.Wait()
	for i := range heard {
		for j := range all {
			if len(heard[i]) != all || heard[i][j] != fmt.Sprint(j) {
				t.Fatalf("listener %d heard %v", i, heard[i])
			}
		}
	}
}

func TestAListenerThatLagsIsCutOff(t *testing.T) {
	events := new(Events)
	slow, stop, err := events.listen()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for range maxBehind + 5 {
		events.Publish(Event{})
	}
	n := 0
	for range slow {
		n++
	}
	if n != maxBehind {
		t.Errorf("%d events before the end, want %d", n, maxBehind)
	}
	for range maxListeners {
		if _, _, err := events.listen(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := events.listen(); err == nil {
		t.Error("one listener too many")
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mifvif/control"
)

// errNoScreen says that there is nothing to draw on.
var errNoScreen = errors.New("top wants a terminal (use: mifvif status, or mifvif watch)")

// answerWithin bounds how long one answer of the daemon is waited for.
const answerWithin = 10 * time.Second

func topCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "top",
		Short: "Domains and flows with their rates, live on the whole screen",
		Long: "Shows the interface, each domain and the flows, anew every second. Rates are what flows carried between two looks,\n" +
			"down first. A daemon that goes away is waited for.\n\n" + topKeys,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, ok := cmd.OutOrStdout().(*os.File)
			if !ok || !isTerminal(int(out.Fd())) || os.Getenv("TERM") == "dumb" {
				return usageError{errNoScreen}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM)
			defer stop()
			m := &top{
				ask:     func() sample { return ask(ctx, g) },
				explain: func(id string) explained { return explain(ctx, g, id) },
			}
			first := m.ask()
			if first.err != nil {
				return first.err
			}
			m.take(first)
			return onScreen(ctx, m, os.Stdin, out)
		},
	}
}

// ask looks at the daemon once.
func ask(ctx context.Context, g *globals) (s sample) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	c := g.client() // another each time: a daemon that starts anew may have another socket
	began := time.Now()
	defer func() { s.took = time.Since(began) }()
	if s.status, s.err = c.Status(ctx); s.err != nil {
		return s
	}
	s.at = time.Now()
	s.flows, s.err = c.Flows(ctx)
	s.flowsAt = time.Now()
	return s
}

// explain has the daemon explain a live flow.
func explain(ctx context.Context, g *globals, id string) explained {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	e, err := g.client().Explain(ctx, control.Question{Target: id})
	return explained{id: id, explanation: e, err: err}
}

// onScreen shows a model until the person quits or ctx ends, and leaves the
// terminal as it was.
func onScreen(ctx context.Context, m tea.Model, in, out *os.File) error {
	profile := colorprofile.ANSI
	if os.Getenv("NO_COLOR") != "" { // whatever it says (no-color.org)
		profile = colorprofile.ASCII
	}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithColorProfile(profile), tea.WithoutSignalHandler()).Run()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("show the screen: %w", err)
	}
	return nil
}

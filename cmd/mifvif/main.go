// Command mifvif carries a host's traffic over the networks it has, each flow
// on the one that policy chooses. One file per command; daemon.go is the only
// wiring.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"mifvif/config"
	"mifvif/control"
)

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// Exit codes (contract).
const (
	exitDone       = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotRunning = 3
	exitRefused    = 4
)

// usageError is an error in how the command was called.
type usageError struct{ error }

// placedError begins with the place in a file, as compilers' errors do.
type placedError struct{ error }

// errRefused says that policy leaves no way for what was asked about.
var errRefused = errors.New("refused by policy")

// execute runs one command line and returns its exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitDone
	}
	if invalid, ok := errors.AsType[*config.Error](err); ok {
		err = placedError{invalid}
	}
	switch {
	case errors.Is(err, errRefused): // the explanation has said it
	case errors.As(err, new(exitStatus)): // the command has
	case errors.As(err, new(placedError)):
		fmt.Fprintln(stderr, err)
	default:
		fmt.Fprintln(stderr, "mifvif: "+strings.TrimRight(err.Error(), "\n"))
	}
	return code(err)
}

// code returns the exit code for an error.
func code(err error) int {
	switch {
	case errors.As(err, new(usageError)), errors.As(err, new(placedError)), errors.As(err, new(control.Mistake)):
		return exitUsage
	case errors.Is(err, control.ErrNotRunning):
		return exitNotRunning
	case errors.Is(err, errRefused), errors.As(err, new(control.Refused)):
		return exitRefused
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	return exitFailed
}

// globals are the flags of every command that talks to the daemon.
type globals struct {
	socket string
	json   bool
}

// socketFor returns where the daemon listens.
func (g *globals) socketFor(cfg *config.Config) string {
	if g.socket != "" {
		return g.socket
	}
	return cfg.Control.Socket
}

// socketPath returns where the daemon is looked for.
func (g *globals) socketPath() string { return cmp.Or(g.socket, config.DefaultSocket) }

// client returns a client of the daemon.
func (g *globals) client() *control.Client {
	if g.socket != "" {
		return control.Dial(g.socket, true)
	}
	return control.Dial(config.DefaultSocket, false)
}

func rootCommand() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:           "mifvif",
		Short:         "Every network of a host, used for what it is good for",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate(versionLine())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (see: %s --help)", err, cmd.CommandPath())}
	})
	root.PersistentFlags().StringVar(&g.socket, "socket", os.Getenv("MIFVIF_SOCKET"), "control socket `PATH` (or MIFVIF_SOCKET)")
	root.AddCommand(
		runCommand(g), checkCommand(g), reloadCommand(g), statusCommand(g), pvdsCommand(g), flowsCommand(g), topCommand(g),
		explainCommand(g), rulesCommand(g), drainCommand(g), undrainCommand(g), resolveCommand(g), execCommand(g), stage(), portalCommand(g), watchCommand(g), labCommand(), benchCommand(), benchLoad(), cleanupCommand(g), versionCommand(g),
	)
	root.InitDefaultCompletionCmd()
	knownTopics(root)
	arrange(root)
	completed(root, g)
	strict(root)
	return root
}

// knownTopics makes help about what there is not wrong usage; cobra would answer with
// the help about all.
func knownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		return
	}
	help.Args = func(_ *cobra.Command, words []string) error {
		if _, rest, err := root.Find(words); err != nil || len(rest) > 0 {
			return fmt.Errorf("there is no command %q", strings.Join(words, " "))
		}
		return nil
	}
}

// strict makes wrong arguments a usage error, of a command and those below it.
func strict(c *cobra.Command) {
	for _, below := range c.Commands() {
		strict(below)
	}
	if !c.Runnable() { // else cobra answers any word with the help
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if args := c.Args; args != nil {
		c.Args = func(cmd *cobra.Command, a []string) error {
			err := args(cmd, a)
			switch {
			case err == nil:
				return nil
			case cmd.HasSubCommands():
				return usageError{fmt.Errorf("%w%s (see: %s --help)", err, nearest(cmd, a), cmd.CommandPath())}
			}
			return usageError{fmt.Errorf("wrong arguments, it is: %s (see: %s --help)", cmd.UseLine(), cmd.CommandPath())}
		}
	}
}

// nearest is a hint at the command that an unknown word may have meant.
func nearest(cmd *cobra.Command, args []string) string {
	cmd.SuggestionsMinimumDistance = 2
	if len(args) > 0 {
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return fmt.Sprintf(", did you mean %q?", near[0])
		}
	}
	return ""
}

// arrange groups the commands by what they are for, and completes for the shells
// that Linux has.
func arrange(root *cobra.Command) {
	for _, g := range []struct{ id, title, commands string }{
		{"run", "Run it:", "run check reload cleanup"},
		{"see", "See what it does:", "status top pvds flows explain resolve watch"},
		{"steer", "Steer it:", "exec drain undrain rules portal"},
		{"try", "Try it in network namespaces:", "lab bench"},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for name := range strings.FieldsSeq(g.commands) {
			if c, _, err := root.Find([]string{name}); err == nil {
				c.GroupID = g.id
			}
		}
	}
	if c, _, err := root.Find([]string{"completion", "powershell"}); err == nil {
		c.Parent().RemoveCommand(c)
	}
}

// withJSON adds --json.
func withJSON(cmd *cobra.Command, g *globals) *cobra.Command {
	cmd.Flags().BoolVar(&g.json, "json", false, "one JSON document")
	return cmd
}

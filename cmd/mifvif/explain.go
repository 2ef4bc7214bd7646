package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"mifvif/config"
	"mifvif/control"
	"mifvif/flow"
	"mifvif/owner"
	"mifvif/scheduler"
)

func explainCommand(g *globals) *cobra.Command {
	q := control.Question{}
	var user, dscp string
	cmd := withJSON(&cobra.Command{
		Use:   "explain TARGET",
		Short: "For a name, an address or a flow id: what was or would be decided, and why",
		Long: "TARGET is a name, an address or the id of a flow (see: mifvif flows). What would be decided is about a flow of\n" +
			"yours, of the shell's user and control group, unless --user, --process, --cgroup or --src say whose is meant.\n" +
			"Exits 4 where the flow is refused.",
		Example: "  mifvif explain 203.0.113.80 --port 22\n  mifvif explain www.example.com --user joe\n  mifvif explain t42",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Port < 0 || q.Port > 65535 {
				return usageError{fmt.Errorf("--port %d: 0 to 65535", q.Port)}
			}
			point, err := config.CodePoint(dscp)
			if err != nil {
				return usageError{fmt.Errorf("--dscp: %w", err)}
			}
			q.DSCP = int(point)
			if q.Proto != "tcp" && q.Proto != "udp" && q.Proto != "icmp" {
				return usageError{fmt.Errorf("--proto %s: tcp, udp or icmp", q.Proto)}
			}
			if user != "" {
				uid, err := config.LookupUser(user)
				if err != nil {
					return usageError{fmt.Errorf("--user %q: there is no such user on this host (a name or a number)", user)}
				}
				q.User = &uid
			}
			if q.User == nil && q.Process == "" && q.Cgroup == "" && q.Src == "" {
				uid := uint32(os.Getuid())
				q.User, q.Cgroup = &uid, owner.OwnGroup()
			}
			q.Target = args[0]
			e, err := g.client().Explain(cmd.Context(), q)
			if err != nil {
				return err
			}
			if err := show(cmd, g, e, printExplanation); err != nil {
				return err
			}
			if e.Decision == nil {
				return errRefused
			}
			return nil
		},
	}, g)
	cmd.Flags().IntVar(&q.Port, "port", 443, "destination port `N`")
	cmd.Flags().StringVar(&q.Proto, "proto", "tcp", "`PROTO` tcp, udp or icmp")
	cmd.Flags().StringVar(&dscp, "dscp", "0", "DSCP `D`, 0 to 63 or a name such as ef")
	cmd.Flags().StringVar(&user, "user", "", "as if it were user `U`'s (a name or a number)")
	cmd.Flags().StringVar(&q.Process, "process", "", "as if it were a process's that is called `P`, such as curl")
	cmd.Flags().StringVar(&q.Cgroup, "cgroup", "", "as if it came from control group `C`, such as /user.slice")
	cmd.Flags().StringVar(&q.Src, "src", "", "as if it came from address `A`, of a host behind router.lans")
	return cmd
}

func printExplanation(w io.Writer, e control.Explanation) {
	to := e.Flow.Dst
	switch {
	case e.Flow.Name != "" && to == "":
		to = e.Flow.Name + " (no live flow goes there: decided by the name alone)"
	case e.Flow.Name != "":
		to = e.Flow.Name + " (" + to + ")"
	}
	fmt.Fprintf(w, "%s %s -> %s\n", e.Flow.Proto, e.Flow.Src, to)
	if e.Flow.Zone != "" {
		fmt.Fprintf(w, "the name lies in the zone %s\n", e.Flow.Zone)
	}
	if d := e.Decision; d != nil {
		by := "the defaults"
		if d.Rule != "" {
			by = fmt.Sprintf("rule %q of the %s", d.Rule, d.Actor)
		}
		fmt.Fprintf(w, "goes over %s (%s) from %s: %s, by %s\n", d.PvD, d.Interface, d.Source, d.Reason, by)
	} else {
		fmt.Fprintf(w, "is refused: %s\n", e.Refusal)
	}
	if d := e.Decision; d != nil && d.Path != "" && e.Flow.Proto == flow.TCP.String() {
		fmt.Fprintf(w, "TCP is %s%s\n", d.Path, colon(d.PathReason))
	}
	if m := e.MPTCP; m != nil && (m.Use != scheduler.MultipathOff.String() || strings.HasPrefix(m.Reason, "rule ")) { // else nobody asks for it
		fmt.Fprintf(w, "Multipath TCP: %s, %s\n", m.Use, m.Reason)
	}
	for _, c := range e.Candidates {
		fmt.Fprintf(w, "  %-16s %-7s %s\n", c.PvD, c.Verdict, c.Reason)
	}
	for _, r := range e.Rules {
		fmt.Fprintf(w, "  rule %q of the %s: %s%s\n", r.Name, r.Actor, r.Effect, colon(r.Reason))
	}
	for _, c := range e.Conflicts {
		fmt.Fprintf(w, "  conflict: %q stands, %q was dropped: %s\n", c.Winner, c.Loser, c.Reason)
	}
}

// colon is a reason behind what it is about, "" for none.
func colon(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

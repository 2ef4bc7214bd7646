package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mifvif/bench"
	"mifvif/bench/load"
)

func benchCommand() *cobra.Command {
	var turns int
	var asJSON bool
	var table, charts, profiles string
	cmd := &cobra.Command{
		Use:   "bench [ROW...]",
		Short: "Measure this machine: direct, by policy routing, through mif0 (no ROW: all; half an hour)",
		Long: "Builds worlds in network namespaces, in which the kernel's direct route, policy routing with masquerading, and\n" +
			"mif0, which ends TCP or has the kernel translate it, take turns at the same work. A ROW is an id or the beginning\n" +
			"of one. `mifvif bench list` names them.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if len(ids) == 1 && ids[0] == "list" {
				for _, r := range bench.Rows() {
					fmt.Fprintf(cmd.OutOrStdout(), "%-20s %s\n", r.ID, r.Title)
				}
				return nil
			}
			if turns < 1 {
				return usageError{errors.New("--turns is at least 1")}
			}
			rows, err := chosenRows(ids)
			if err != nil {
				return usageError{err}
			}
			results, err := measure(cmd, bench.Options{Rows: rows, Turns: turns, Profiles: profiles}, asJSON)
			if err != nil {
				return err
			}
			return publish(results, table, charts)
		},
	}
	cmd.Flags().IntVar(&turns, "turns", 5, "how often the systems take turns; a figure is their median")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.Flags().StringVar(&table, "table", "", "write the table in Markdown into `FILE`, between its bench marks if it has them")
	cmd.Flags().StringVar(&profiles, "profiles", "", "write a profile of the daemon's processor time for each row into `DIR`")
	cmd.Flags().StringVar(&charts, "charts", "", "write SVG charts into `DIR`")
	return cmd
}

// chosenRows returns the rows whose ids begin with one of the words.
func chosenRows(words []string) ([]bench.Row, error) {
	if len(words) == 0 {
		return bench.Rows(), nil
	}
	var rows []bench.Row
	for _, w := range words {
		before := len(rows)
		for _, r := range bench.Rows() {
			if strings.HasPrefix(r.ID, w) && !slices.ContainsFunc(rows, func(o bench.Row) bool { return o.ID == r.ID }) {
				rows = append(rows, r)
			}
		}
		if len(rows) == before {
			return nil, fmt.Errorf("no row %q (see `mifvif bench list`)", w)
		}
	}
	return rows, nil
}

func measure(cmd *cobra.Command, o bench.Options, asJSON bool) ([]bench.Result, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this binary: %w", err)
	}
	out := cmd.OutOrStdout()
	o.Binary = binary
	if !asJSON {
		o.Done = func(r bench.Result) { fmt.Fprintln(out, bench.Line(r)) }
	}
	results, err := bench.Run(cmd.Context(), o)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what and where
	}
	if asJSON {
		err = json.NewEncoder(out).Encode(struct {
			Rows []bench.Result `json:"rows"`
		}{results})
	}
	return results, err
}

// publish writes what the person asked for.
func publish(results []bench.Result, table, charts string) error {
	if table != "" {
		if err := bench.WriteTable(table, results); err != nil {
			return err //nolint:wrapcheck // says what and where
		}
	}
	if charts != "" {
		return bench.WriteCharts(charts, results) //nolint:wrapcheck // says what and where
	}
	return nil
}

// benchLoad is run by bench itself, in the client's namespace.
func benchLoad() *cobra.Command {
	return &cobra.Command{
		Use:    bench.Command + " TASK",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var t load.Task
			if err := json.Unmarshal([]byte(args[0]), &t); err != nil {
				return usageError{fmt.Errorf("read the task: %w", err)}
			}
			o, err := load.Run(cmd.Context(), t, func() {
				fmt.Fprintln(cmd.OutOrStdout(), load.Holding)
				<-cmd.Context().Done()
			})
			if err != nil {
				return err //nolint:wrapcheck // says what and where
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(o) //nolint:wrapcheck // nobody listens, if anything
		},
	}
}

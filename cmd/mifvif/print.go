package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// show prints a document, in words unless JSON is asked for.
func show[T any](cmd *cobra.Command, g *globals, document T, inWords func(io.Writer, T)) error {
	if g.json {
		return printJSON(cmd.OutOrStdout(), document)
	}
	inWords(cmd.OutOrStdout(), document)
	return nil
}

// printJSON writes one document.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // arrows in sentences are for people
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// amount writes bytes for people.
func amount(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, suffix := float64(n)/unit, 0
	for f >= unit && suffix < 4 {
		f, suffix = f/unit, suffix+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[suffix])
}

// rate writes bits per second for people.
func rate(n uint64) string {
	f, unit := float64(n), 0
	for f >= 1000 && unit < 3 {
		f, unit = f/1000, unit+1
	}
	return fmt.Sprintf("%.3g %sbit/s", f, []string{"", "k", "M", "G"}[unit])
}

// age writes how long ago t was.
func age(t time.Time) string { return time.Since(t).Round(time.Second).String() }

// orDash writes a list, or a dash for an empty one.
func orDash(list ...string) string {
	var kept []string
	for _, s := range list {
		if s != "" {
			kept = append(kept, s)
		}
	}
	if len(kept) == 0 {
		return "-"
	}
	return strings.Join(kept, " ")
}

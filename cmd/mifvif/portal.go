package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mifvif/control"
)

func portalCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "portal [PVD] [-- COMMAND...]",
		Short: "Open the captive portal of one domain, and of it only",
		Long: "Opens the login page of a captive network (the only captive one if PVD is left out) in a browser that reaches\n" +
			"nothing but that network, by a proxy that is there until the browser ends. With a COMMAND that runs instead,\n" +
			"with http_proxy and https_proxy set and the page in MIFVIF_PORTAL_URL. Without a browser the proxy is printed.",
		Example: "  mifvif portal\n  mifvif portal wlan0 -- curl -L http://portal.invalid/",
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash > 1 || dash < 0 && len(args) > 1 || dash == len(args) && dash >= 0 {
				return errors.New("one PVD at the most, and behind -- a command")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, command := portalArgs(cmd.ArgsLenAtDash(), args)
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
			defer stop()
			p, held, err := g.client().OpenPortal(ctx, name)
			if err != nil {
				return err
			}
			defer held.Close()
			if len(command) > 0 {
				return inPortal(ctx, p, command)
			}
			return browse(ctx, cmd, p)
		},
	}
}

// portalArgs parts the domain from the command behind the dash.
func portalArgs(dash int, args []string) (name string, command []string) {
	if dash < 0 {
		dash = len(args)
	}
	if dash > 0 {
		name = args[0]
	}
	return name, args[dash:]
}

// inPortal runs a command whose web requests go to the portal's network.
func inPortal(ctx context.Context, p control.Portal, command []string) error {
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	proxy := "http://" + p.Proxy
	c.Env = append(os.Environ(), "MIFVIF_PORTAL_URL="+p.URL, "http_proxy="+proxy, "https_proxy="+proxy, "HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy, "no_proxy=", "NO_PROXY=")
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	return nil
}

// browse opens the portal in a browser that knows no other way than the proxy,
// or says how a person can.
func browse(ctx context.Context, cmd *cobra.Command, p control.Portal) error {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "brave-browser"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		profile, err := os.MkdirTemp("", "mifvif-portal-")
		if err != nil {
			return fmt.Errorf("make a browser profile: %w", err)
		}
		defer os.RemoveAll(profile)
		fmt.Fprintf(cmd.OutOrStdout(), "opening the portal of %s: %s\n", p.PvD, p.URL)
		return inPortal(ctx, p, []string{
			path, "--user-data-dir=" + profile, "--proxy-server=http://" + p.Proxy, "--no-first-run", "--no-default-browser-check", "--new-window", p.URL,
		})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "the portal of %s: %s\nset a browser's HTTP proxy to %s (it reaches that network only) and press Ctrl-C here when you have logged in\n", p.PvD, p.URL, p.Proxy)
	<-ctx.Done()
	return nil
}

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// Command is a connection over which a command is asked for and heard of.
type Command struct {
	Conn  *net.UnixConn // for what is to be run, and then signals
	words *json.Decoder
}

// Command asks for a command in a domain. The error is a Refused where policy does
// not allow it. The caller sends what is to be run, and closes the Command, which
// ends what runs.
func (c *Client) Command(ctx context.Context, pvd string) (*Command, error) {
	body, err := json.Marshal(commandRequest{pvd})
	if err != nil {
		return nil, fmt.Errorf("encode the question: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://mifvif/v1/command", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", commandProtocol)
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.path)
	if err != nil {
		return nil, unreachable(err)
	}
	reader := bufio.NewReader(conn) // which may have read Words when HTTP ends
	if err := c.upgrade(conn, reader, req); err != nil {
		conn.Close()
		return nil, err
	}
	return &Command{Conn: conn.(*net.UnixConn), words: json.NewDecoder(reader)}, nil
}

// upgrade has the daemon leave HTTP behind.
func (c *Client) upgrade(conn net.Conn, reader *bufio.Reader, req *http.Request) error {
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	resp, err := http.ReadResponse(reader, req)
	if err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		if err := c.good(resp); err != nil {
			return err
		}
		return errors.New("the daemon does not run commands (is it of another version?)")
	}
	return c.own(resp)
}

// Hear waits for the daemon's next Word.
func (c *Command) Hear() (Word, error) {
	var w Word
	if err := c.words.Decode(&w); err != nil {
		return w, fmt.Errorf("the daemon is gone, and the command's network with it: %w", err)
	}
	return w, nil
}

// Close ends the connection.
func (c *Command) Close() error { return c.Conn.Close() }

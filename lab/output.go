package lab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// logLines is how many lines of a program are kept.
const logLines = 2000

// output keeps the last lines of a program and waits for the one that matters.
type output struct {
	mark  string        // is in that line
	ready chan struct{} // closed when it said so
	ended chan struct{} // closed when it said its last

	mu    sync.Mutex
	lines []string
}

// startHeard starts a command in the node and keeps what it writes.
func (n *Node) startHeard(cmd *exec.Cmd, mark string) (*Process, *output, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start %s in %s: %w", cmd.Path, n.Name, err)
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	process, err := n.Start(cmd)
	writer.Close()
	if err != nil {
		reader.Close()
		return nil, nil, err
	}
	o := &output{mark: mark, ready: make(chan struct{}), ended: make(chan struct{})}
	go o.read(reader)
	return process, o, nil
}

// read ends when the daemon has.
func (o *output) read(r io.ReadCloser) {
	defer close(o.ended)
	defer r.Close()
	said := false
	for lines := bufio.NewScanner(r); lines.Scan(); {
		o.add(lines.Text())
		if !said && strings.Contains(lines.Text(), o.mark) {
			said = true
			close(o.ready)
		}
	}
}

func (o *output) add(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.lines) >= logLines {
		o.lines = o.lines[logLines/2:]
	}
	o.lines = append(o.lines, line)
}

// String returns the lines kept.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines, "\n")
}

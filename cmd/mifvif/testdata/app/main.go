// Command app is what TestCommands... run in a domain: a program without C library
// that says whom the laboratory's servers see.
//
//	app tcp|udp ADDRESS:PORT...   a line for each
//	app name NAME                 its addresses
//	app hold ADDRESS:PORT         a line, then another when the connection ends
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Println("error:", err)
		os.Exit(9)
	}
}

func run(what string, args []string) error {
	for _, to := range args {
		switch what {
		case "name":
			all, err := new(net.Resolver).LookupHost(context.Background(), to)
			if err != nil {
				return err
			}
			fmt.Println(all)
		case "tcp", "udp":
			c, line, err := greet(what, to)
			if err != nil {
				return err
			}
			c.Close()
			fmt.Print(line)
		case "hold":
			c, line, err := greet("tcp", to)
			if err != nil {
				return err
			}
			fmt.Print(line)
			_ = c.SetDeadline(time.Time{})
			_, err = c.Read(make([]byte, 1))
			fmt.Println("ended:", err)
		default:
			return errors.New("what?")
		}
	}
	return nil
}

// greet reads the first line an echo peer says; it answers datagrams only.
func greet(network, to string) (net.Conn, string, error) {
	c, err := net.DialTimeout(network, to, 3*time.Second)
	if err != nil {
		return nil, "", err
	}
	if network == "udp" {
		line, err := ask(c)
		return c, line, err
	}
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil && line == "" {
		return nil, "", err
	}
	return c, line, nil
}

// ask sends a datagram, more than once if nobody answers, as apps do.
func ask(c net.Conn) (line string, err error) {
	answer := make([]byte, 1500)
	for range 3 {
		fmt.Fprintln(c, "who am I")
		_ = c.SetDeadline(time.Now().Add(time.Second))
		var n int
		if n, err = c.Read(answer); err == nil {
			return string(answer[:n]) + "\n", nil
		}
	}
	return "", err
}

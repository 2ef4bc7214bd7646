package main

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// leaveRoom has Go run on half the processors. What mifvif writes is delivered
// inside the write, up to the other side's socket, and the apps need processors
// of their own; with two for mifvif on a machine of two, most of what is won is
// lost in waking one another (bench/README.md). GOMAXPROCS overrides it.
func leaveRoom() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}

// precedence is the nice value of a daemon that apps wait for.
const precedence = -10

// goFirst has the kernel prefer this process to the apps. A kernel forwards in
// its interrupts, before any process; a daemon that every app it wakes can push
// aside does its work in small pieces, each on another processor (bench/README.md).
// A nice value somebody chose stays. All threads there are get it, later ones
// inherit it; without permission everything is slower and nothing is wrong.
func goFirst() {
	const neutral = 20 // what the system call returns for a nice value of 0
	if now, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || now != neutral {
		return
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, precedence)
		}
	}
}

package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// History is a past to make up for the lab's Prometheus.
type History struct {
	Days int
	Step time.Duration
	// Pods, when not 0, makes it the past of a made-up mesh of that many pods instead of that of the cluster.
	Pods int
	// End is when that past ends; zero means now.
	End time.Time
}

// WriteHistory gives Prometheus a past, and restarts it so that it sees it. Blocks that an
// earlier call wrote for the same days are replaced. It returns how much was written, for people.
func (l *Lab) WriteHistory(ctx context.Context, h History) (string, error) {
	url := l.Metrics + "/rates"
	if h.Pods > 0 {
		url += "?pods=" + strconv.Itoa(h.Pods)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return "", fmt.Errorf("GET %s: %s: %s", url, response.Status, text)
	}
	if err := l.Stop(ctx, Prometheus); err != nil {
		return "", err
	}
	if h.End.IsZero() {
		h.End = time.Now()
	}
	perBlock := h.Days // of a lab's own size
	if h.Pods > 0 {
		perBlock = 1
	}
	cmd := exec.CommandContext(ctx, l.Bin.Path("prometheus", "history"), "-out", l.path("prometheus"),
		"-days", strconv.Itoa(h.Days), "-block-days", strconv.Itoa(perBlock), "-step", h.Step.String(), "-end", strconv.FormatInt(h.End.Truncate(h.Step).Unix(), 10))
	cmd.Stdin = response.Body // not kept: it can be hundreds of megabytes
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("write history: %w\n%s", err, errOut.Bytes())
	}
	return strings.TrimSpace(out.String()), l.Start(ctx, Prometheus)
}

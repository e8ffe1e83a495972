package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// RawList reads every resource that a ClusterRole allows to list, whole and in
// pages of 500, some at a time, and throws the bytes away: the least that any reader of the
// same kinds must do. It returns how many bytes came. Resources that the cluster does not serve are passed over.
func (c *Client) RawList(ctx context.Context, role *rbacv1.ClusterRole, parallel int) (int64, error) {
	var (
		mu    sync.Mutex
		total int64
		errs  []error
		wg    sync.WaitGroup
	)
	slots := make(chan struct{}, parallel)
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				mapping, err := c.mapper.ResourceFor(schema.GroupVersionResource{Group: group, Resource: resource})
				if err != nil {
					continue
				}
				slots <- struct{}{}
				wg.Go(func() {
					defer func() { <-slots }()
					n, err := c.listBytes(ctx, mapping)
					mu.Lock()
					defer mu.Unlock()
					total += n
					if err != nil {
						errs = append(errs, fmt.Errorf("list %s: %w", mapping.Resource, err))
					}
				})
			}
		}
	}
	wg.Wait()
	return total, errors.Join(errs...)
}

func (c *Client) listBytes(ctx context.Context, resource schema.GroupVersionResource) (int64, error) {
	path := "/apis/" + resource.Group + "/" + resource.Version + "/" + resource.Resource
	if resource.Group == "" {
		path = "/api/" + resource.Version + "/" + resource.Resource
	}
	var total int64
	for next := ""; ; {
		query := url.Values{"limit": {strconv.Itoa(500)}}
		if next != "" {
			query.Set("continue", next)
		}
		n, token, err := c.page(ctx, path, query)
		total += n
		if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			return total, nil
		}
		if err != nil || token == "" {
			return total, err
		}
		next = token
	}
}

// page reads one page to its end and returns its continue token, which stands near the beginning.
func (c *Client) page(ctx context.Context, path string, query url.Values) (int64, string, error) {
	request := c.Kube.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json")
	for k, v := range query {
		request.Param(k, v[0])
	}
	body, err := request.Stream(ctx)
	if err != nil {
		return 0, "", err
	}
	defer body.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(body, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return int64(n), "", err
	}
	rest, err := io.Copy(io.Discard, body)
	_, after, found := strings.Cut(string(head[:n]), `"continue":"`)
	if !found {
		return int64(n) + rest, "", err
	}
	token, _, _ := strings.Cut(after, `"`)
	return int64(n) + rest, token, err
}

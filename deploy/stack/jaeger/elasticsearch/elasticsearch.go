// Package elasticsearch stands in for the client of Elasticsearch, whose 847 packages are half of what compiling Jaeger takes.
// The stack keeps its traces elsewhere.
package elasticsearch

import (
	"errors"
	"net/http"

	"github.com/elastic/go-elasticsearch/v9/esapi"
)

// Config has what Jaeger sets.
type Config struct {
	Addresses            []string
	Username, Password   string
	DiscoverNodesOnStart bool
	CompressRequestBody  bool
	Header               http.Header
	Transport            http.RoundTripper
}

// Client has what Jaeger asks for.
type Client struct{ Indices *esapi.Indices }

// NewClient always fails.
func NewClient(Config) (*Client, error) {
	return nil, errors.New("this build of Jaeger has no client of Elasticsearch")
}

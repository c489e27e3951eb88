// Components that exist elsewhere and are not part of this version: named, so that nobody is told "unknown". One that
// is built has a row of its own, and its name here says nothing.
#include <initializer_list>

#include "pipeline_lang/component.h"

namespace thalweg::lang {
namespace {

struct Family {
  std::string_view prefix;
  std::initializer_list<std::string_view> names;
};

constexpr std::string_view kLlm = "xpacks.llm.";

const Family kConnectors[] = {
    {"io.",
     {"gcp_storage.read",
      "gcp_storage.write",
      "azure_blob.read",
      "azure_blob.write",
      "amqp.read",
      "amqp.write",
      "mqtt.read",
      "mqtt.write",
      "elasticsearch.read",
      "elasticsearch.write",
      "iceberg.read",
      "iceberg.write",
      "deltalake.read",
      "deltalake.write",
      "bigquery.read",
      "bigquery.write",
      "pubsub.read",
      "pubsub.write",
      "nats.read",
      "nats.write",
      "mongodb.read",
      "mongodb.write",
      "slack.send_alerts",
      "logstash.write",
      "gdrive.read",
      "airbyte.read",
      "pyfilesystem.read",
      "questdb.write",
      "dynamodb.write",
      "kinesis.read",
      "kinesis.write",
      "mssql.read",
      "mssql.write",
      "mysql.read",
      "mysql.write",
      "milvus.write",
      "qdrant.write",
      "pinecone.write",
      "weaviate.write",
      "chroma.write",
      "clickhouse.write",
      "clickhouse.read",
      "duckdb.write",
      "rabbitmq.read",
      "rabbitmq.write",
      "pulsar.read",
      "pulsar.write",
      "redis.read",
      "redis.write",
      "snowflake.read",
      "snowflake.write",
      "s3.read",
      "s3.write",
      "s3_csv.read",
      "minio.read",
      "minio.write",
      "kafka.read_from_upstash",
      "exec.read",
      "exec.write",
      "subscribe",
      "leann.write",
      "register_input_synchronization_group",
      "OnChangeCallback",
      "OnFinishCallback"}},
    {"io.elasticsearch.", {"ElasticSearchAuth", "ElasticSearchParams"}},
    {"io.iceberg.", {"RestCatalog", "GlueCatalog"}},
    {"io.deltalake.", {"TableOptimizer"}},
    {"io.kafka.", {"SchemaRegistryHeader"}},
    {"io.rabbitmq.", {"TLSSettings"}},
    {"io.pulsar.", {"TokenAuthentication", "OAuth2Authentication", "TLSSettings"}},
    {"xpacks.connectors.sharepoint.", {"read"}},
};

const Family kLanguageModels[] = {
    {"llms.",
     {"OpenAIChat", "LiteLLMChat", "HFPipelineChat", "CohereChat", "BedrockChat", "BaseChat", "prompt_chat_single_qa",
      "AnthropicChat"}},
    {"",
     {"OpenAILanguageModel", "AzureOpenAILanguageModel", "AnthropicLanguageModel", "OpenAIEmbedder",
      "HuggingFaceEmbedder", "OllamaEmbedder", "AzureOpenAIEmbedder", "TokenSplitter", "SentenceSplitter",
      "RecursiveSplitter", "DocumentStore"}},
    {"embedders.",
     {"OpenAIEmbedder", "LiteLLMEmbedder", "SentenceTransformerEmbedder", "GeminiEmbedder", "BedrockEmbedder",
      "MarengoEmbedder", "BaseEmbedder", "HuggingFaceEmbedder", "OllamaEmbedder", "AzureOpenAIEmbedder"}},
    {"rerankers.",
     {"LLMReranker", "CrossEncoderReranker", "EncoderReranker", "FlashRankReranker", "rerank_topk_filter"}},
    {"splitters.",
     {"TokenCountSplitter", "RecursiveSplitter", "NullSplitter", "null_splitter", "BaseSplitter",
      "DefaultTokenCountSplitter", "TokenSplitter", "SentenceSplitter"}},
    {"parsers.",
     {"Utf8Parser", "ParseUtf8", "UnstructuredParser", "ParseUnstructured", "DoclingParser", "PypdfParser",
      "ImageParser", "SlideParser", "OpenParse", "PaddleOCRParser", "AudioParser", "TwelveLabsVideoParser",
      "default_vision_parser"}},
    {"prompts.",
     {"prompt_qa", "prompt_short_qa", "prompt_qa_geometric_rag", "prompt_citing_qa", "parse_cited_response",
      "prompt_summarize", "prompt_query_rewrite", "prompt_query_rewrite_hyde", "prompt_rerank", "RAGPromptTemplate",
      "RAGFunctionPromptTemplate", "DEFAULT_IMAGE_PARSE_PROMPT", "DEFAULT_TABLE_PARSE_PROMPT",
      "DEFAULT_MD_TABLE_PARSE_PROMPT", "DEFAULT_JSON_TABLE_PARSE_PROMPT"}},
    {"document_store.", {"DocumentStore", "SlidesDocumentStore", "DocumentStoreClient"}},
    {"vector_store.", {"VectorStoreServer", "SlidesVectorStoreServer", "VectorStoreClient"}},
    {"question_answering.",
     {"BaseRAGQuestionAnswerer", "AdaptiveRAGQuestionAnswerer", "DeckRetriever", "SimpleContextProcessor",
      "SummaryQuestionAnswerer", "BaseQuestionAnswerer", "RAGClient", "BaseContextProcessor"}},
    {"servers.", {"BaseRestServer", "DocumentStoreServer", "QARestServer", "QASummaryRestServer", "ServerConfig"}},
    {"mcp_server.", {"PathwayMcp", "McpConfig", "McpServer", "McpServable"}},
};

const Family kFurther[] = {
    {"indexing.",
     {"BruteForceKnnFactory",
      "UsearchKnnFactory",
      "USearchKnnFactory",
      "LshKnnFactory",
      "DefaultKnnFactory",
      "TantivyBM25Factory",
      "HybridIndexFactory",
      "BruteForceKnn",
      "USearchKnn",
      "LshKnn",
      "TantivyBM25",
      "HybridIndex",
      "DataIndex",
      "default_vector_document_index",
      "default_lsh_knn_document_index",
      "default_usearch_knn_document_index",
      "default_brute_force_knn_document_index",
      "default_full_text_document_index",
      "SortedIndex",
      "build_sorted_index",
      "retrieve_prev_next_values"}},
    {"indexing.BruteForceKnnMetricKind.", {"COS", "L2SQ"}},
    {"indexing.USearchMetricKind.",
     {"IP", "L2SQ", "COS", "PEARSON", "HAVERSINE", "DIVERGENCE", "HAMMING", "TANIMOTO", "SORENSEN"}},
    {"BruteForceKnnMetricKind.", {"COS", "L2SQ"}},
    {"USearchMetricKind.",
     {"IP", "L2SQ", "COS", "PEARSON", "HAVERSINE", "DIVERGENCE", "HAMMING", "TANIMOTO", "SORENSEN"}},
    {"indexing.nearest_neighbors.",
     {"BruteForceKnnFactory", "UsearchKnnFactory", "LshKnnFactory", "DefaultKnnFactory", "BruteForceKnn", "USearchKnn",
      "LshKnn"}},
    {"indexing.bm25.", {"TantivyBM25Factory", "TantivyBM25"}},
    {"indexing.hybrid_index.", {"HybridIndexFactory", "HybridIndex"}},
    {"ml.index.", {"KNNIndex"}},
    {"ml.classifiers.", {"knn_lsh_classifier_train", "knn_lsh_train", "knn_lsh_classify", "clustering_via_lsh"}},
    {"ml.smart_table_ops.", {"fuzzy_match_tables", "fuzzy_match", "fuzzy_self_match", "smart_fuzzy_match"}},
    {"ml.hmm.", {"create_hmm_reducer"}},
    {"graphs.",
     {"pagerank.pagerank", "bellman_ford.bellman_ford", "louvain_communities.impl", "Graph", "WeightedGraph"}},
    {"udf.", {"lua", "exec", "http"}},
    {"udfs.",
     {"ExponentialBackoffRetryStrategy", "FixedDelayRetryStrategy", "NoRetryStrategy", "DefaultCache", "DiskCache",
      "InMemoryCache", "auto_executor", "sync_executor", "async_executor", "fully_async_executor"}},
};

void add_known(Components& out, std::string name) {
  Component known;
  known.doc = name + " is known, not built into this version.";
  known.name = std::move(name);
  known.kind = ComponentKind::kKnown;
  known.open = true;
  out.push_back(std::move(known));
}

}  // namespace

void add_known_components(Components& out) {
  for (const Family& family : kConnectors)
    for (const std::string_view name : family.names) add_known(out, std::string(family.prefix) + std::string(name));
  for (const Family& family : kLanguageModels)
    for (const std::string_view name : family.names)
      add_known(out, std::string(kLlm) + std::string(family.prefix) + std::string(name));
  for (const Family& family : kFurther)
    for (const std::string_view name : family.names) add_known(out, std::string(family.prefix) + std::string(name));
}

}  // namespace thalweg::lang

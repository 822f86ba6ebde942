#pragma once
// Paths in the model: a chain on the stack while walking a tree, and rules that hold for path patterns.
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace compose::load {

/// The way from the root to a value: "services.web.ports[0]". Lives on the stack of the walk; costs nothing until
/// somebody asks for the text.
class Path {
 public:
  Path() = default;
  Path(const Path& parent, std::string_view key) : parent_{&parent}, key_{key} {}
  Path(const Path& parent, std::size_t index) : parent_{&parent}, index_{static_cast<std::ptrdiff_t>(index)} {}

  std::string to_string() const {
    if (parent_ == nullptr) return {};
    std::string text = parent_->to_string();
    if (index_ >= 0) return text + "[" + std::to_string(index_) + "]";
    if (!text.empty()) text += '.';
    return text.append(key_);
  }
  std::string_view key() const { return key_; }
  const Path* parent() const { return parent_; }

 private:
  const Path* parent_ = nullptr;
  std::string_view key_;
  std::ptrdiff_t index_ = -1;
};

/// What holds at the paths that match a pattern. "services.*.ports[]": "*" stands for any key, "[]" for any item.
/// Walking down a tree, a stage walks down the rules beside it and leaves branches no rule reaches.
template <typename T>
class Rules {
 public:
  class Node {
   public:
    const Node* key(std::string_view name) const {
      if (const auto found = keys_.find(name); found != keys_.end()) return found->second.get();
      return any_key_.get();
    }
    const Node* item() const { return item_.get(); }
    /// The rule for this very path, or nullptr.
    const T* rule() const { return set_ ? &rule_ : nullptr; }

   private:
    friend class Rules;
    std::unordered_map<std::string_view, std::unique_ptr<Node>> keys_;
    std::unique_ptr<Node> any_key_;
    std::unique_ptr<Node> item_;
    T rule_{};
    bool set_ = false;
  };

  /// Patterns must be string literals: the rules keep views of them.
  Rules(std::initializer_list<std::pair<std::string_view, T>> rules) {
    for (const auto& [pattern, rule] : rules) add(pattern, rule);
  }
  const Node* root() const { return &root_; }

 private:
  void add(std::string_view pattern, const T& rule) {
    Node* node = &root_;
    while (!pattern.empty()) {
      if (pattern.starts_with("[]")) {
        node = child(node->item_);
        pattern.remove_prefix(2);
      } else {
        const std::string_view key = pattern.substr(0, pattern.find_first_of(".["));
        node = key == "*" ? child(node->any_key_) : child(node->keys_[key]);
        pattern.remove_prefix(key.size());
      }
      if (pattern.starts_with('.')) pattern.remove_prefix(1);
    }
    node->rule_ = rule;
    node->set_ = true;
  }
  static Node* child(std::unique_ptr<Node>& slot) {
    if (!slot) slot = std::make_unique<Node>();
    return slot.get();
  }

  Node root_;
};

}  // namespace compose::load

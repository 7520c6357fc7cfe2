// Settles, integrates and fires neurons in ascending slot, one a cycle; or enters their currents when a step begins.
//
// m: words of the memories; e1, e2: currents; g1 to g3: integration; p: spikes by powers of two; f: what is left of them, one a
// cycle (only where a threshold is not above 0), and the alias. An alias adds its count to a later slot before that fires, or to
// an earlier one after it has fired; nothing follows it into p before it has left f.
`default_nettype none
module lif_evolve #(
    parameter N = 6,            // hidden and output neurons
    parameter N_HID = 4,
    parameter S = 2,            // synapses
    parameter A = 10, P = 16, T = 16, B = 16, D = 4, X = 16, CNT = 5,
    parameter FIRE = 5,         // stages that take spikes
    parameter HAS_BIAS = 1,
    parameter HAS_ALIAS = 1,
    parameter AL = 3,           // word of the aliases
    parameter DIR = ""
) (
    input wire clk, rst, start, output wire busy, input wire [A-1:0] first,
    input wire [A-1:0] beyond,          // the neuron behind the last
    input wire entering, is_hidden, input wire [CNT-1:0] max_count,  // lint_off UNUSEDSIGNAL
    output wire [A-1:0] raddr,          // of currents and potentials; data one cycle later, held while ren is low
    output wire ren, input wire [S*X-1:0] i_rdata, input wire signed [X-1:0] v_rdata, output wire i_we,
    output wire [A-1:0] i_waddr, output wire [S*X-1:0] i_wdata, output wire v_we,
    output wire [A-1:0] slot,           // of the neuron that has fired
    output wire signed [X-1:0] v_wdata, output wire count_we,
    output wire to_alias,               // the count is of the alias, which is an earlier slot
    output wire [A-1:0] alias_slot,     // whose count of this step is read two cycles before
    output wire [CNT-1:0] count_data, input wire [CNT-1:0] count_rdata,
    input wire prog_we, input wire [7:0] prog_block, input wire [P-1:0] prog_addr, input wire [31:0] prog_data  // lint_off UNUSEDSIGNAL
);
    localparam DW = D * (1 + S);
    localparam C = N > 1 ? $clog2(N) : 1;
    localparam M = 0, E1 = 1, E2 = 2, G2 = 4, G3 = 5;
    wire stall, block;
    wire hold = stall || block;
    wire [C-1:0] prog_slot = prog_addr[C-1:0];

    // which neuron is where
    reg running;
    reg [A-1:0] next;
    reg [A-1:0] slots [0:5];
    reg [5:0] valid;
    wire issue = running && next != beyond;
    integer k;
    always @(posedge clk) begin
        if (rst) {running, valid} <= 0;
        else begin
            if (start) running <= 1;
            else if (!hold && !issue) running <= 0;
            if (!hold) valid <= {valid[4:3], valid[E2] && !entering, valid[E1:M], issue};
        end
        if (start) next <= first;
        else if (issue && !hold) next <= next + 1'b1;
        if (!hold) begin
            slots[0] <= next;
            for (k = 1; k < 6; k = k + 1) slots[k] <= slots[k - 1];
        end
    end
    assign raddr = next;
    assign ren = !hold;

    // m: codes
    reg [DW-1:0] decays [0:N-1];
    reg [DW-1:0] m_decay;
    wire [B-1:0] m_bias;
    initial if (DIR != "") $readmemh({DIR, "/decays_0.mem"}, decays);
    always @(posedge clk) begin
        if (!hold) m_decay <= decays[next[C-1:0]];
        if (prog_we && prog_block == 8 * 4) decays[prog_slot] <= prog_data[DW-1:0];
    end
    generate
        if (HAS_BIAS) begin : g_bias
            reg [B-1:0] biases [0:N-1];
            reg [B-1:0] bias_q;
            initial if (DIR != "") $readmemh({DIR, "/biases_0.mem"}, biases);
            always @(posedge clk) begin
                if (!hold) bias_q <= biases[next[C-1:0]];
                if (prog_we && prog_block == 10 * 4) biases[prog_slot] <= prog_data[B-1:0];
            end
            assign m_bias = bias_q;
        end else begin : g_no_bias
            assign m_bias = 0;
        end
    endgenerate

    // e1, e2: currents
    reg [DW-1:0] e1_decay;
    reg [S*X-1:0] e1_i, e2_i;
    reg [X-1:0] e1_v, e2_v;
    reg [B-1:0] e1_bias, e2_bias;
    reg [D-1:0] e2_decay;
    reg signed [X+1:0] e2_total;
    wire [S*X-1:0] entered;
    wire [S*(X+1)-1:0] settled;
    wire [S*X-1:0] e1_current;
    genvar s;
    generate
        for (s = 0; s < S; s = s + 1) begin : g_lane
            wire [X-1:0] current = e1_i[s*X +: X];
            wire [D-1:0] code = e1_decay[(1+s)*D +: D];
            lif_enter #(.X(X), .D(D)) enter (.current(current), .code(code), .entered(entered[s*X +: X]));
            lif_settle #(.X(X), .D(D)) settle (.current(current), .code(code), .settled(settled[s*(X+1) +: X+1]));
            assign e1_current[s*X +: X] = entering ? entered[s*X +: X] : settled[s*(X+1) +: X];
        end
    endgenerate
    always @(posedge clk) if (!hold) begin
        {e1_decay, e1_i, e1_v, e1_bias} <= {m_decay, i_rdata, v_rdata, m_bias};
        {e2_decay, e2_i, e2_v, e2_bias} <= {e1_decay[D-1:0], e1_current, e1_v, e1_bias};
        e2_total <= $signed(settled[X:0]) + (S == 2 ? $signed(settled[S*(X+1)-1 -: X+1]) : $signed({(X+1){1'b0}}));  // lint_off WIDTHEXPAND
    end
    assign i_we = valid[E2] && !hold;
    assign i_waddr = slots[E2];
    assign i_wdata = e2_i;

    // g1 to g3: the potential
    wire signed [X-1:0] reached;
    lif_integrate #(.X(X), .D(D), .B(B)) integrate (
        .clk(clk), .hold(hold), .potential(e2_v), .code(e2_decay), .total(e2_total), .bias(e2_bias), .reached(reached)
    );
    reg [T-1:0] thresholds [0:N-1];
    reg [T-1:0] g3_threshold;
    wire [AL-1:0] g3_alias;
    wire [CNT-1:0] g3_already;
    initial if (DIR != "") $readmemh({DIR, "/thresholds_0.mem"}, thresholds);
    always @(posedge clk) begin
        if (!hold) g3_threshold <= thresholds[slots[G2][C-1:0]];
        if (prog_we && prog_block == 9 * 4) thresholds[prog_slot] <= prog_data[T-1:0];
    end

    // p: spikes, the highest power of two first; behind the last stage is f
    wire [FIRE:0] p_valid, p_alias_waits;
    wire [A-1:0] p_slot [0:FIRE];
    wire [AL-1:0] p_alias [0:FIRE];
    wire signed [T-1:0] p_threshold [0:FIRE];
    wire signed [X-1:0] p_v [0:FIRE];
    wire [CNT-1:0] p_count [0:FIRE];
    assign p_valid[0] = valid[G3] && !block;
    assign p_alias_waits[0] = 0;
    assign {p_slot[0], p_alias[0], p_threshold[0], p_v[0], p_count[0]} = {slots[G3], g3_alias, g3_threshold, reached, g3_already};
    genvar j;
    generate
        for (j = 0; j < FIRE; j = j + 1) begin : g_fire
            reg v;
            reg [A-1:0] at;
            reg [AL-1:0] to;
            reg signed [T-1:0] threshold;
            reg signed [X-1:0] potential;
            reg [CNT-1:0] count;
            wire fires;
            wire signed [X-1:0] left;
            always @(posedge clk) begin
                if (rst) v <= 0;
                else if (!stall) v <= p_valid[j];
                if (!stall) {at, to, threshold, potential, count} <= {p_slot[j], p_alias[j], p_threshold[j], p_v[j], p_count[j]};
            end
            lif_fire #(.X(X), .T(T), .CNT(CNT), .K(FIRE - 1 - j)) fire (
                .potential(potential), .threshold(threshold), .count(count), .max_count(max_count), .fires(fires), .left(left)
            );
            assign p_valid[j+1] = v;
            assign p_alias_waits[j+1] = v && to != 0;
            assign {p_slot[j+1], p_alias[j+1], p_threshold[j+1]} = {at, to, threshold};
            assign p_v[j+1] = fires ? left : potential;
            assign p_count[j+1] = fires ? count + (1 << (FIRE - 1 - j)) : count;
        end
    endgenerate

    // f: further spikes of thresholds that are not above 0; then the alias
    localparam TEST = 2'd0, ALIAS_READ = 2'd1, ALIAS_WRITE = 2'd3;     // between them, the sum
    reg f_valid, f_again, f_copies;
    reg [1:0] f_state;
    reg [A-1:0] f_slot;
    reg [AL-1:0] f_alias;
    reg signed [T-1:0] f_threshold;
    reg signed [X-1:0] f_v, f_left;
    reg [CNT-1:0] f_count;
    wire loops = f_valid && f_state == TEST && f_again;
    wire signed [T-1:0] f_threshold_in = loops ? f_threshold : p_threshold[FIRE];
    wire signed [X-1:0] f_v_in = loops ? f_left : p_v[FIRE];
    wire [CNT-1:0] f_count_in = loops ? f_count + 1'b1 : p_count[FIRE];
    wire [AL-1:0] f_alias_in = loops ? f_alias : p_alias[FIRE];
    wire again;
    wire signed [X-1:0] left_again;
    lif_fire #(.X(X), .T(T), .CNT(CNT), .K(0)) fire_again (
        .potential(f_v_in), .threshold(f_threshold_in), .count(f_count_in), .max_count(max_count),
        .fires(again), .left(left_again)
    );
    wire done = f_valid && f_state == TEST && !f_again;
    assign stall = f_valid && !(done && !f_copies) && f_state != ALIAS_WRITE;
    assign block = HAS_ALIAS && (|p_alias_waits || (f_valid && f_alias != 0));
    always @(posedge clk) begin
        if (rst) begin
            f_valid <= 0;
            f_state <= TEST;
        end else if (!stall) begin
            f_valid <= p_valid[FIRE];
            f_state <= TEST;
        end else if (!loops) f_state <= f_state + 1'b1;
        if (!stall) {f_slot, f_alias, f_threshold} <= {p_slot[FIRE], p_alias[FIRE], p_threshold[FIRE]};
        if (!stall || loops) begin
            {f_v, f_count, f_again, f_left} <= {f_v_in, f_count_in, again, left_again};
            f_copies <= f_alias_in != 0 && f_count_in != 0;
        end
    end
    assign slot = f_slot;
    assign v_we = done;
    assign v_wdata = f_v;

    // the alias: this step's count of an earlier slot is read, added to and written; a later one's waits for it
    reg [CNT:0] alias_sum;
    assign alias_slot = f_alias - 1'b1;  // lint_off WIDTHEXPAND
    reg alias_later;
    always @(posedge clk) begin
        alias_later <= alias_slot > f_slot;
        alias_sum <= count_rdata + f_count;
    end
    assign to_alias = f_valid && f_state == ALIAS_WRITE && !alias_later;
    assign count_we = done || to_alias;
    assign count_data = !to_alias ? f_count : alias_sum > max_count ? max_count : alias_sum[CNT-1:0];  // lint_off WIDTHEXPAND
    generate
        if (HAS_ALIAS) begin : g_alias
            localparam H = N_HID > 1 ? $clog2(N_HID) : 1;
            reg [AL-1:0] aliases [0:N_HID-1];
            reg [AL-1:0] alias_q;
            reg [CNT-1:0] waiting [0:N_HID-1];
            reg [CNT-1:0] waiting_q;
            integer n;
            initial begin
                for (n = 0; n < N_HID; n = n + 1) waiting[n] = 0;
                if (DIR != "") $readmemh({DIR, "/aliases_0.mem"}, aliases);
            end
            wire to_later = f_valid && f_state == ALIAS_READ && alias_later;
            wire [A-1:0] waiting_raddr = hold ? slots[G3] : slots[G2];  // lint_off UNUSEDSIGNAL
            wire [A-1:0] waiting_waddr = to_later ? alias_slot : f_slot;  // lint_off UNUSEDSIGNAL
            always @(posedge clk) begin
                if (!hold) alias_q <= aliases[slots[G2][H-1:0]];
                if (prog_we && prog_block == 11 * 4) aliases[prog_addr[H-1:0]] <= prog_data[AL-1:0];
                waiting_q <= waiting[waiting_raddr[H-1:0]];
                if (to_later || (done && is_hidden)) waiting[waiting_waddr[H-1:0]] <= to_later ? f_count : {CNT{1'b0}};
            end
            assign g3_alias = is_hidden ? alias_q : {AL{1'b0}};
            assign g3_already = is_hidden ? waiting_q : {CNT{1'b0}};
        end else begin : g_no_alias
            assign g3_alias = 0;
            assign g3_already = 0;
        end
    endgenerate
    assign busy = running || |valid || |p_valid[FIRE:1] || f_valid;
endmodule
`default_nettype wire
